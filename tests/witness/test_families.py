"""The record of other families and policies: what is sound stays within the tolerances, rounding and swaps do not."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import families
import pytest
import torch
import witnessed
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

import sft_ref
from sft_ref.reference.bases.compat import dtype_keyword
from sft_ref.witnessing.verifying import tolerance

FAMILIES = ("llama", "qwen3", "gemma2", "gpt2")
POLICIES = {
    "fp32": (torch.float32, None),
    "bf16-mixed": (torch.float32, torch.bfloat16),
    "bf16": (torch.bfloat16, None),
}


def batches() -> list[witnessed.Batch]:
    generator = torch.Generator().manual_seed(3)
    ids = [torch.randint(3, families.VOCABULARY, (4, 20), generator=generator) for _ in range(4)]
    for each in ids:
        each[:, -1] = 2
    return [{"input_ids": each, "attention_mask": torch.ones_like(each), "labels": each} for each in ids]


def load(base: Path, dtype: torch.dtype = torch.float32, **options: Any) -> Any:
    return AutoModelForCausalLM.from_pretrained(base, **dtype_keyword(dtype), **options)


RUNS = [
    pytest.param((family, policy), id=f"{family}-{policy}", marks=[] if number % 3 == at % 3 else [pytest.mark.slow])
    for at, family in enumerate(FAMILIES)
    for number, policy in enumerate(POLICIES)
]
"""Each family, and each policy; the other pairs are slow."""


@pytest.fixture(scope="session", params=RUNS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, torch.dtype]:
    """Base, adapter with its record, and the dtype of the base in training."""
    family, policy = request.param
    folder = tmp_path_factory.mktemp(f"{family}-{policy}")
    dtype, autocast = POLICIES[policy]
    base = families.build_base(family, folder / "base")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of peft, on fan_in_fan_out
        torch.manual_seed(0)
        config = LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, target_modules=families.FAMILIES[family][2])
        model: Any = get_peft_model(load(base, dtype), config).train()
        with sft_ref.witness(model, None, folder / "adapter", supervised="all") as training:
            witnessed.train_loop(model, batches(), witnessed.adamw(model, 1e-2), autocast=autocast)
        assert training.faults == []
        model.save_pretrained(str(folder / "adapter"))
    return base, folder / "adapter", dtype


def put(adapter: Path, base: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return PeftModel.from_pretrained(base, str(adapter)).eval()


def merged(adapter: Path, base: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return put(adapter, base).merge_and_unload()


def test_what_is_sound_passes(run: tuple[Path, Path, torch.dtype]) -> None:
    base, adapter, dtype = run
    backends = ("eager",) if "gemma2" in str(base) else ("eager", "sdpa")  # gemma2 has no sdpa
    in_dtype = [put(adapter, load(base, dtype, attn_implementation=each)) for each in backends]
    if dtype is torch.bfloat16:
        as_trained = load(base, torch.bfloat16).float()
        as_trained.load_state_dict({k: v.float() for k, v in load(base, torch.bfloat16).state_dict().items()})
        in_float32 = [put(adapter, as_trained)]
    else:
        in_float32 = [put(adapter, load(base, attn_implementation=each)) for each in backends]
        in_float32.append(merged(adapter, load(base)))
    for model in (*in_dtype, *in_float32):
        result = sft_ref.verify(model, None, adapter)
        assert result.ok, str(result)


def test_what_is_not_trained_does_not(run: tuple[Path, Path, torch.dtype], tmp_path: Path) -> None:
    base, adapter, dtype = run
    rounded = load(base)
    with torch.no_grad():
        for each in rounded.parameters():
            each.copy_(each.half().float())
    other = families.build_base(adapter.parent.name.split("-")[0], tmp_path / "other", seed=5)
    found = {
        "another base": sft_ref.verify(put(adapter, load(other)), None, adapter).kinds,
        "not merged": sft_ref.verify(load(base, dtype), None, adapter).kinds,
        "rounded": sft_ref.verify(put(adapter, rounded), None, adapter).kinds,
        "merged twice": sft_ref.verify(merged(adapter, merged(adapter, load(base, dtype))), None, adapter).kinds,
        "merged in bf16": sft_ref.verify(merged(adapter, load(base, torch.bfloat16)), None, adapter).kinds,
    }
    assert "base" in found.pop("another base")
    assert "load" in found.pop("merged twice")
    assert found == {"not merged": {"load"}, "rounded": {"precision"}, "merged in bf16": {"precision"}}


def test_a_window_of_attention_is_told(tmp_path: Path) -> None:
    base = families.build_base("mistral", tmp_path / "base", sliding_window=None)
    model: Any = get_peft_model(load(base), LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=["q_proj", "v_proj"]))
    with sft_ref.witness(model.train(), None, tmp_path / "adapter", supervised="all"):
        witnessed.train_loop(model, batches(), witnessed.adamw(model, 1e-2))
    model.save_pretrained(str(tmp_path / "adapter"))
    windowed = families.build_base("mistral", tmp_path / "windowed", sliding_window=4)
    shutil.copy(base / "model.safetensors", windowed)
    result = sft_ref.verify(put(tmp_path / "adapter", load(windowed)), None, tmp_path / "adapter")
    assert not result.ok
    assert result.figures["logits, share of their spread"] > tolerance.LOGITS["float32"]
