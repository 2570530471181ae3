"""A change that answering leaves in a model is found, whatever it is; what rounding leaves is none."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

from sft_ref.harness.instruments.model_state import changes, look
from sft_ref.reference import adapter
from sft_ref.reference.bases.find import TOY
from sft_ref.reference.models import load_model
from sft_ref.reference.precision import POLICIES

Change = Callable[[Any], object]


@pytest.fixture
def models() -> tuple[PeftModel, PeftModel]:
    torch.manual_seed(0)
    model = adapter.add_adapter(load_model(TOY, POLICIES["fp32"]), POLICIES["fp32"], rank=4, alpha=8).eval()
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.02)
    return model, copy.deepcopy(model)


def _half(model: PeftModel) -> None:
    weight = model.get_parameter("base_model.model.model.layers.1.mlp.up_proj.base_layer.weight")
    weight.data = weight.data.half()


def _frequencies(model: PeftModel) -> None:
    model.get_buffer("base_model.model.model.rotary_emb.inv_freq").mul_(1.01)


def _scaling(model: PeftModel) -> None:
    layer: Any = model.get_submodule("base_model.model.model.layers.0.self_attn.q_proj")
    layer.scaling["default"] *= 0.5


@pytest.mark.parametrize(
    ("change", "observed"),
    [
        (torch.nn.Module.train, "training mode"),
        (_half, "dtype is torch.float16"),
        (_frequencies, "values differ"),
        (_scaling, "scaling is"),
        (lambda model: model.base_model.disable_adapter_layers(), "disable_adapters is True"),
        (lambda model: model.merge_adapter(), "merged_adapters is"),
        (lambda model: model.unload(), "the module is gone"),
    ],
)
def test_a_change_is_found(models: tuple[PeftModel, PeftModel], change: Change, observed: str) -> None:
    before, after = models
    change(after)
    found = list(changes(before, after))
    assert found
    assert any(observed in seen for seen, _, _ in found)


def test_what_is_undone_is_no_change(models: tuple[PeftModel, PeftModel]) -> None:
    before, after = models
    assert not list(changes(before, after))
    after.merge_adapter()
    after.unmerge_adapter()
    weights = [dict(each.named_parameters()) for each in models]
    assert any(not torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())  # it was rounded
    assert not list(changes(before, after))


def test_evaluation_mode_is_no_change(models: tuple[PeftModel, PeftModel]) -> None:
    before, after = models
    before = copy.deepcopy(before).train()
    assert not list(changes(before, after))


@pytest.mark.parametrize("is_peft_model", [True, False])
def test_the_active_adapter_is_looked_at(is_peft_model: bool) -> None:
    model: Any = load_model(TOY, POLICIES["fp32"])
    config = LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM", init_lora_weights=False)
    if is_peft_model:
        model = get_peft_model(model, LoraConfig(r=4, target_modules=["v_proj"], task_type="CAUSAL_LM"))
        model.add_adapter("second", config)
        model.set_adapter("second")
    else:
        model.add_adapter(config, "second")
    found = look(model)
    assert {name.split(".")[-3] for name in found["adapter"]} == {"q_proj"}
    assert {tensor.shape[0] for name, tensor in found["adapter"].items() if "lora_A" in name} == {2}
    assert set(found["scalings"].values()) == {8 / 2}
