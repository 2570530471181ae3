"""What an export is made of, and which models and settings are refused; all of it without OpenVINO."""

from __future__ import annotations

import os
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import GenerationConfig

from sft_ref import BaseLLM
from sft_ref.cli.main import main
from sft_ref.engines import openvino, openvino_compiled, openvino_export
from sft_ref.errors import EngineError, PrecisionError
from sft_ref.io.lora_config import read_lora
from sft_ref.reference.bases.find import TOY
from sft_ref.sweep.adapter.loading import find_way


@pytest.fixture
def not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = metadata.version

    def version(name: str) -> str:
        if name.startswith("openvino"):
            raise metadata.PackageNotFoundError(name)
        return asked(name)

    monkeypatch.setattr(metadata, "version", version)


@pytest.mark.usefixtures("not_installed")
@pytest.mark.parametrize(
    "command",
    [["test", "--engine", "openvino"], ["sweep", "--data", "rows.json", "--load", "openvino-int8", "--adapter"]],
    ids=["test", "sweep"],
)
def test_a_missing_package_is_one_line_that_names_the_extra(
    command: list[str],
    toy_adapter: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*command, str(toy_adapter)]) == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert "pip install 'sft-ref[openvino]'" in line


@pytest.mark.parametrize("name", ["openvino-int4", "openvino-", "openvino-bf16-mixed"])
def test_a_way_that_openvino_has_not_is_refused_with_those_it_has(name: str) -> None:
    with pytest.raises(PrecisionError, match=f"--load {name}: choose openvino-fp32, openvino-bf16, openvino-int8"):
        find_way(name)


def test_drift_says_that_an_engine_shows_no_weights(
    toy_adapter: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "1.0")
    from sft_ref.cli.drift import _drift
    from sft_ref.errors import SftRefError

    with pytest.raises(SftRefError, match="openvino-bf16: an engine shows no weights"):
        _drift(toy_adapter, None, ("fp32", "openvino-bf16"))


def test_a_function_without_state_gives_the_logits_of_the_model(blank_toy: BaseLLM) -> None:
    """In two parts, with a padded row, and rows that change places in between."""
    model = BaseLLM("toy", policy=blank_toy.policy).model
    model.set_attn_implementation("sdpa")
    heads, size, layers = openvino_export._cache_shape(model)
    ids = torch.randint(90, (2, 9), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, :4] = 0
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    stateless = openvino_export._Stateless(model)
    with torch.no_grad():
        due = model(input_ids=ids, attention_mask=mask, position_ids=positions).logits
        past = [torch.zeros(2, heads, 0, size) for _ in range(2 * layers)]
        first, *past = stateless(ids[:, :6], mask[:, :6], positions[:, :6], torch.arange(2), past)
        turned = torch.tensor([1, 0])
        second, *_ = stateless(ids[turned, 6:], mask[turned], positions[turned, 6:], turned, past)
    assert (first - due[:, :6])[mask[:, :6].bool()].abs().max() < 1e-4
    assert (second - due[turned, 6:]).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("config", "is_refused"),
    [
        ({"sliding_window": 4096}, True),
        ({"sliding_window": None}, False),
        ({}, False),
        ({"layer_types": ["full_attention", "sliding_attention"], "sliding_window": 512}, True),
        ({"layer_types": ["full_attention"] * 2, "sliding_window": 512}, False),  # Qwen2 names one that it does not use
    ],
)
def test_a_model_that_attends_to_a_window_is_refused(config: dict[str, Any], is_refused: bool) -> None:
    model: Any = SimpleNamespace(config=SimpleNamespace(**config))
    if not is_refused:
        openvino_export._check_attention(model)
        return
    with pytest.raises(EngineError, match="do not attend to all tokens"):
        openvino_export._check_attention(model)


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ({"do_sample": True, "temperature": 0.7}, "do_sample, temperature"),
        ({"do_sample": True}, "do_sample"),
        ({"num_beams": 3}, "num_beams"),
        ({"repetition_penalty": 1.2}, "repetition_penalty"),
        ({"do_sample": False, "num_return_sequences": 1, "eos_token_id": [1, 2], "pad_token_id": 0}, None),
    ],
)
def test_only_greedy_continuations_are_given(settings: dict[str, Any], refused: str | None) -> None:
    config = GenerationConfig(max_new_tokens=8, **settings)
    if refused is None:
        openvino._check_greedy(config)
        return
    with pytest.raises(EngineError, match=f"without {refused};"):
        openvino._check_greedy(config)


def test_bf16_on_one_core_is_refused_and_else_has_two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setattr(openvino_compiled, "_cores", lambda: 2)
    assert openvino_compiled.properties("bf16")["INFERENCE_NUM_THREADS"] == 2
    assert openvino_compiled.properties("f32")["INFERENCE_NUM_THREADS"] == 1
    monkeypatch.setattr(openvino_compiled, "_cores", lambda: 1)
    with pytest.raises(EngineError, match="--policy fp32"):
        openvino_compiled.properties("bf16")


def test_an_export_is_made_once_and_the_oldest_leave(
    toy_adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []
    monkeypatch.setenv("SFT_REF_CACHE", str(tmp_path))
    monkeypatch.setattr(metadata, "version", lambda name: "1.0")
    monkeypatch.setattr(openvino_export, "export", lambda model, folder, weights: made.append(folder))
    clock = iter(range(10**6, 2 * 10**6))
    touch = os.utime
    monkeypatch.setattr(os, "utime", lambda folder: touch(folder, (now := next(clock), now)))
    config = read_lora(toy_adapter)

    def exported(value: float, weights: str = "fp32") -> Path:
        return openvino.exported(TOY, config, {"a": torch.tensor([value])}, weights, lambda: None)  # type: ignore[arg-type,return-value]

    one = exported(1)
    assert exported(1) == one
    assert exported(1, "int8") != one
    assert len(made) == 2
    others = [exported(value) for value in (2, 3)]
    assert exported(1) == one, "it is in use, and stays"
    others += [exported(4), exported(5)]
    assert len(made) == 6
    assert {each.name for each in tmp_path.iterdir()} == {each.name for each in (one, *others[1:])}
