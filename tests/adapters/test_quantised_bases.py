"""What a merge into a quantised base would take from an adapter is estimated from the base's files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import families
import pytest
import torch
from safetensors.torch import load_file, save_file

from sft_ref.harness.core.check import Outcome
from sft_ref.harness.core.verdict import Status, Verdict
from sft_ref.harness.grading.folder import grade_adapter
from sft_ref.harness.grading.merged import grade_merged
from sft_ref.harness.recorders.folder.recorder import record

Tensors = dict[str, torch.Tensor]
Quantise = Callable[[str, torch.Tensor], tuple[Tensors, torch.Tensor]]
"""Takes name and value of a weight, and gives the tensors that store it, and the value that they stand for."""

LINEARS = ["q_proj", "v_proj", "down_proj"]
NF4 = torch.tensor(
    (
        *(-1.0, -0.69619, -0.52507, -0.39492, -0.28444, -0.18477, -0.09105, 0.0),
        *(0.07958, 0.16093, 0.24611, 0.33792, 0.44071, 0.56262, 0.72296, 1.0),
    )
)


def nf4(name: str, weight: torch.Tensor) -> tuple[Tensors, torch.Tensor]:
    """As bitsandbytes stores four bits, without quantised scales."""
    blocks = weight.reshape(-1, 64)
    scales = blocks.abs().amax(1)
    codes = (blocks[:, :, None] / scales[:, None, None] - NF4).abs().argmin(2)
    pairs = codes.reshape(-1, 2)
    state = {"quant_type": "nf4", "blocksize": 64, "dtype": "float32", "shape": list(weight.shape)}
    stored = {
        name: (pairs[:, :1] * 16 + pairs[:, 1:]).to(torch.uint8),
        f"{name}.absmax": scales,
        f"{name}.quant_map": NF4.clone(),
        f"{name}.quant_state.bitsandbytes__nf4": torch.tensor(list(json.dumps(state).encode()), dtype=torch.uint8),
    }
    return stored, (NF4[codes] * scales[:, None]).reshape(weight.shape)


def nested_nf4(name: str, weight: torch.Tensor) -> tuple[Tensors, torch.Tensor]:
    """The same with scales in eight bits, as `bnb_4bit_use_double_quant` makes them."""
    stored, _ = nf4(name, weight)
    scales, table = stored[f"{name}.absmax"], torch.linspace(-1, 1, 256)
    offset = scales.mean()
    outer = torch.stack([each.abs().max() for each in (scales - offset).split(256)])
    shares = (scales - offset) / outer.repeat_interleave(256)[: len(scales)]
    codes = (shares[:, None] - table).abs().argmin(1)
    state = {"blocksize": 64, "nested_blocksize": 256, "nested_offset": offset.item()}
    stored |= {
        f"{name}.absmax": codes.to(torch.uint8),
        f"{name}.nested_absmax": outer,
        f"{name}.nested_quant_map": table,
        f"{name}.quant_state.bitsandbytes__nf4": torch.tensor(list(json.dumps(state).encode()), dtype=torch.uint8),
    }
    found = table[codes] * outer.repeat_interleave(256)[: len(scales)] + offset
    low, high = stored[name].flatten() & 15, stored[name].flatten() >> 4
    values = NF4[torch.stack([high, low], 1).long()].reshape(-1, 64)
    return stored, (values * found[:, None]).reshape(weight.shape)


def int8(name: str, weight: torch.Tensor) -> tuple[Tensors, torch.Tensor]:
    """As bitsandbytes stores eight bits: a scale for each row."""
    scales = weight.abs().amax(1)
    codes = (weight / scales[:, None] * 127).round()
    stored = {name: codes.to(torch.int8), f"{name.removesuffix('.weight')}.SCB": scales}
    return stored, codes * scales[:, None] / 127


def grouped(name: str, weight: torch.Tensor) -> tuple[Tensors, torch.Tensor]:
    """As GPTQ and AWQ store four bits: scales of (groups, out), and packed integers that need not be read."""
    groups = weight.reshape(len(weight), -1, 16)
    low, high = groups.amin(2), groups.amax(2)
    scales = (high - low) / 15
    codes = ((groups - low[:, :, None]) / scales[:, :, None]).round()
    module = name.removesuffix(".weight")
    packed = torch.zeros(weight.shape[1] // 8, len(weight), dtype=torch.int32)
    stored = {f"{module}.qweight": packed, f"{module}.scales": scales.T.contiguous()}
    return stored, (codes * scales[:, :, None] + low[:, :, None]).reshape(weight.shape)


BITSANDBYTES = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
STORED: dict[str, tuple[Quantise, dict[str, Any], str]] = {
    "nf4": (nf4, BITSANDBYTES, "bitsandbytes nf4"),
    "nf4 with nested scales": (nested_nf4, BITSANDBYTES, "bitsandbytes nf4"),
    "int8": (int8, {"load_in_8bit": True}, "bitsandbytes 8 bits"),
    "gptq": (grouped, {"quant_method": "gptq", "bits": 4, "group_size": 16}, "gptq 4 bits"),
    "awq": (grouped, {"quant_method": "awq", "bits": 4, "group_size": 16}, "awq 4 bits"),
}


def configure(base: Path, quantisation: dict[str, Any]) -> Path:
    path = base / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "quantization_config": quantisation}))
    return base


def quantise(base: Path, folder: Path, how: Quantise, quantisation: dict[str, Any]) -> dict[str, float]:
    """A copy of a base that is stored quantised; gives the norm of the error of each weight."""
    shutil.copytree(base, folder)
    tensors, errors = load_file(folder / "model.safetensors"), {}
    for name in [each for each in tensors if each.endswith("_proj.weight")]:
        weight = tensors.pop(name)
        stored, value = how(name, weight)
        tensors |= stored
        errors[name.removesuffix(".weight")] = (value - weight).norm().item()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    configure(folder, quantisation)
    return errors


@pytest.fixture
def plain(llama: Path, tmp_path: Path) -> Path:
    """A small adapter over `llama`."""
    return families.train(llama, tmp_path / "small", target_modules=LINEARS)


def advice(verdict: Verdict, check: str) -> str:
    [found] = [each for each in verdict.results if each.check.id == check]
    return found.observed if found.outcome is Outcome.ADVICE else ""


@pytest.mark.parametrize("name", STORED)
def test_the_error_of_a_stored_quantised_base_is_estimated(name: str, plain: Path, llama: Path, tmp_path: Path) -> None:
    how, quantisation, words = STORED[name]
    errors = quantise(llama, tmp_path / "base", how, quantisation)
    evidence = record(plain, base=str(tmp_path / "base"))
    assert evidence.base_format == words
    assert evidence.not_loaded == f"the base is quantised ({words}), and cannot be run here"
    assert evidence.pairs
    for each in evidence.pairs:
        assert each.rounding == pytest.approx(errors[each.module], rel=0.15)
    verdict = grade_adapter(plain, "a", base=str(tmp_path / "base"), prompt=None)
    assert verdict.status is Status.NOT_SHOWN, verdict.cause
    assert verdict.examined_stages == ("artifact",)


@pytest.mark.parametrize(
    ("quantisation", "how"), [(BITSANDBYTES, nf4), ({"quant_method": "bitsandbytes", "load_in_8bit": True}, int8)]
)
def test_the_error_of_a_base_that_is_quantised_on_loading_is_computed(
    quantisation: dict[str, Any], how: Quantise, plain: Path, llama: Path, tmp_path: Path
) -> None:
    base = configure(Path(shutil.copytree(llama, tmp_path / "base")), quantisation)
    pairs = record(plain, base=str(base)).pairs
    weights = load_file(llama / "model.safetensors")
    assert pairs
    for each in pairs:
        weight = weights[f"{each.module}.weight"]
        assert each.rounding == pytest.approx((how("w", weight)[1] - weight).norm().item(), rel=1e-3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_error_of_16_bits_is_estimated(dtype: torch.dtype, tmp_path: Path, llama: Path, plain: Path) -> None:
    base = families.build_base("llama", tmp_path / "base", dtype=dtype)
    weights = load_file(llama / "model.safetensors")
    pairs = record(plain, base=str(base)).pairs
    assert pairs
    for each in pairs:
        weight = weights[f"{each.module}.weight"]
        assert each.rounding == pytest.approx((weight.to(dtype).float() - weight).norm().item(), rel=0.15)


def test_a_merge_that_drowns_a_small_adapter_is_advice_and_a_large_one_is_not_drowned(
    plain: Path, llama: Path, tmp_path: Path
) -> None:
    quantise(llama, tmp_path / "base", nf4, BITSANDBYTES)
    base = str(tmp_path / "base")
    families.edit_tensors(plain, lambda tensors: {n: t * (10 if "lora_B" in n else 1) for n, t in tensors.items()})
    assert not advice(grade_adapter(plain, "a", base=base, prompt=None), "ART-237")
    families.edit_tensors(plain, lambda tensors: {n: t * (1e-3 if "lora_B" in n else 1) for n, t in tensors.items()})
    seen = advice(grade_adapter(plain, "a", base=base, prompt=None), "ART-237")
    assert "merging into the base's format (bitsandbytes nf4) loses the adapter" in seen


def test_what_is_not_computed_is_said(plain: Path, llama: Path, tmp_path: Path) -> None:
    base = configure(Path(shutil.copytree(llama, tmp_path / "base")), {"quant_method": "hqq", "nbits": 4})
    verdict = grade_adapter(plain, "a", base=str(base), prompt=None)
    [result] = [each for each in verdict.results if each.check.id == "ART-237"]
    assert result.outcome is Outcome.SKIPPED
    assert "rounding to hqq cannot be computed" in result.observed


@pytest.mark.parametrize("part", ["quant_state.bitsandbytes__nf4", "quant_map", "absmax"])
def test_a_state_that_is_none_is_not_computed(part: str, plain: Path, llama: Path, tmp_path: Path) -> None:
    quantise(llama, tmp_path / "base", nf4, BITSANDBYTES)
    path = tmp_path / "base" / "model.safetensors"
    tensors = load_file(path)
    save_file({n: t[:3].contiguous() if n.endswith(part) else t for n, t in tensors.items()}, path)
    pairs = record(plain, base=str(tmp_path / "base")).pairs
    assert pairs
    assert {each.rounding for each in pairs} == {None}


def test_a_merged_model_over_a_quantised_base_is_not_shown(plain: Path, llama: Path, tmp_path: Path) -> None:
    quantise(llama, tmp_path / "base", nf4, BITSANDBYTES)
    for merged, base in ((llama, tmp_path / "base"), (tmp_path / "base", llama)):
        verdict = grade_merged(merged, "m", plain, base=str(base))
        assert verdict.status is Status.NOT_SHOWN
        assert "stored quantised" in verdict.coverage_text
