"""Names in memory are those of the base and of the file, however torch and peft wrap the model."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sft_ref.harness.core.implementation import TrainingResult
from sft_ref.harness.instruments.deltas import linears
from sft_ref.harness.instruments.model_state import changes
from sft_ref.harness.recorders.submission.agent import inspection
from sft_ref.reference.guards.dtypes import count_dtypes
from sft_ref.reference.guards.names import plain, unwrapped, without_peft

parts = st.lists(st.sampled_from(["model", "layers", "0", "11", "mlp", "up_proj", "norm", "lm_head"]), min_size=1)
inserted = st.lists(st.sampled_from(["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"]), max_size=2)


@st.composite
def wrapped_names(draw: st.DrawFn) -> tuple[str, str]:
    """A name, and the same with wrappers of torch: those of parallel training in front, the others anywhere."""
    name = [*draw(parts), "weight"]
    before = draw(st.lists(st.sampled_from(["module", "_orig_mod"]), max_size=3))
    within = [part for own in name for part in (*draw(inserted), own)]
    return ".".join(name), ".".join([*before, *within])


@given(wrapped_names(), st.booleans())
def test_names_lose_what_wrappers_of_torch_add(names: tuple[str, str], by_peft: bool) -> None:
    name, wrapped = names
    assert unwrapped(wrapped) == plain(wrapped) == name
    assert unwrapped(name) == name  # what is not wrapped stays
    if by_peft:
        assert plain(f"module._orig_mod.base_model.model.{wrapped.removeprefix('module.')}").endswith(name)


@given(wrapped_names(), wrapped_names())
def test_different_names_stay_different(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (plain(one[1]) == plain(other[1])) == (one[0] == other[0])


@given(wrapped_names())
def test_foreign_code_is_recorded_by_the_same_names(names: tuple[str, str]) -> None:
    assert inspection.unwrapped(names[1]) == unwrapped(names[1])


@given(wrapped_names())
def test_wrappers_of_torch_count_in_a_file(names: tuple[str, str]) -> None:
    assert without_peft(names[1]) == names[1]  # a loader does not know them


@pytest.mark.parametrize(
    ("wrapped", "name"),
    [
        ("base_model.model.model.layers.0.mlp.up_proj.base_layer.weight", "model.layers.0.mlp.up_proj.weight"),
        (
            "base_model.model.model.layers.0.mlp.up_proj.lora_A.default.weight",
            "model.layers.0.mlp.up_proj.lora_A.weight",
        ),
        (
            "module._orig_mod.base_model.model.model.layers.0._orig_mod.mlp.up_proj.lora_A.default.weight",
            "model.layers.0.mlp.up_proj.lora_A.weight",
        ),
        ("base_model.model.model.norm.modules_to_save.default.weight", "model.norm.weight"),
        ("encoder.module.weight", "encoder.module.weight"),
        ("lm_head", "lm_head"),
        ("module", ""),
    ],
)
def test_names_lose_their_wrapping(wrapped: str, name: str) -> None:
    assert plain(wrapped) == name


def _model() -> Any:  # noqa: ANN401  # indexed below
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Sequential(torch.nn.Linear(4, 2))).eval()


@pytest.mark.parametrize("wrap", [torch.nn.DataParallel, partial(torch.compile, backend="eager")])
def test_a_wrapped_model_is_compared_by_the_names_of_its_base(wrap: Callable[..., torch.nn.Module]) -> None:
    model = _model()
    wrapped = wrap(model)
    assert count_dtypes(wrapped) == count_dtypes(model)
    assert [name for name, _, module in linears(model, wrapped)] == ["0", "1.0"]
    twin = copy.deepcopy(model)
    assert not [*changes(twin, wrapped)]
    with torch.no_grad():
        model[0].weight += 1
    assert [name for _, _, name in changes(twin, wrapped)] == ["0.weight"]


def test_a_result_of_training_has_the_names_of_the_file() -> None:
    tensor = torch.zeros(1)
    result = TrainingResult(
        Path(),
        {"module.base_model.model.up_proj.lora_A.weight": tensor},
        (),
        scalings={"_orig_mod.up_proj": 2.0},
        changed=("_orig_mod.norm.weight",),
        dtypes={"base": {"module.norm.weight": "float32"}},
    )
    assert result.adapter == {"base_model.model.up_proj.lora_A.weight": tensor}
    assert result.scalings == {"up_proj": 2.0}
    assert result.changed == ("norm.weight",)
    assert result.dtypes == {"base": {"norm.weight": "float32"}}
