"""What the initialisation of an adapter takes from the base belongs to what training adds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from transformers import PreTrainedModel

from sft_ref.harness.core.implementation import TrainingResult
from sft_ref.harness.instruments.deltas import expected_deltas, measure_init_deltas
from sft_ref.reference.bases.find import TOY
from sft_ref.reference.models import load_model
from sft_ref.reference.precision import POLICIES

MODULE = "model.layers.0.self_attn.q_proj"


def base() -> PreTrainedModel:
    return load_model(TOY, POLICIES["fp32"])


def adapted(start: Any) -> tuple[Any, LoraConfig]:  # noqa: ANN401  # any of peft
    config = LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"], r=4, init_lora_weights=start)
    return get_peft_model(base(), config), config


@pytest.mark.parametrize("start", ["pissa", "olora"])
def test_what_a_start_takes_from_the_base_is_measured(start: str) -> None:
    model, _ = adapted(start)
    starts = measure_init_deltas(model, base())
    layer = model.get_submodule(f"base_model.model.{MODULE}")
    whole = layer.base_layer.weight + starts[MODULE]
    assert torch.allclose(whole, base().get_parameter(f"{MODULE}.weight"), atol=1e-5)
    assert starts[MODULE].norm() > 0.1


@pytest.mark.parametrize("start", [True, False, "gaussian", "orthogonal"])
def test_a_start_on_the_whole_base_takes_nothing(start: bool | str) -> None:
    model, _ = adapted(start)
    assert measure_init_deltas(model, base()) == {}


def test_a_base_that_changes_otherwise_is_no_start() -> None:
    model, _ = adapted(start=False)
    layer = model.get_submodule(f"base_model.model.{MODULE}")
    layer.base_layer.weight.data.mul_(0.9)
    assert measure_init_deltas(model, base()) == {}


@pytest.mark.parametrize("is_reported", [True, False])
def test_an_adapter_that_was_not_trained_adds_nothing(tmp_path: Path, is_reported: bool) -> None:
    model, config = adapted("pissa")
    config.save_pretrained(str(tmp_path))
    starts = measure_init_deltas(model, base()) if is_reported else None
    trained = TrainingResult(tmp_path, get_peft_model_state_dict(model), (), starts=starts)
    deltas = expected_deltas(trained, tmp_path, base())
    assert max(delta.abs().max().item() for delta in deltas.values()) < 1e-5
    other = expected_deltas(TrainingResult(tmp_path, trained.adapter, (), starts={}), tmp_path, base())
    assert other[MODULE].norm() > 0.1  # the start is lost
