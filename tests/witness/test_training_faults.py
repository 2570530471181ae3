"""Each finding: the fault, planted in a loop that trains, is found; its sound twin has no finding at all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import witnessed
from faulty_loops import (
    TwoOptimizers,
    against_base,
    base_optimizer,
    checkpointed,
    checkpointed_with_input_gradients,
    compiled,
    evaluating,
    foreign_optimizer,
    frozen_adapter,
    fused,
    half_optimizer,
    in_bfloat16,
    mixed_dtypes,
    nan_loss,
    negative_loss,
    saved_modules,
    sleeping,
    trained_base,
    until,
    unused,
    whole_loss,
    with_biases,
    written_loss,
    zeroed,
)
from faulty_rows import (
    all_masked,
    behind_new_line,
    cut_into_rows,
    nothing_masked,
    packed,
    padded,
    partly_masked,
    rows_as,
    shifted,
    shuffled,
    truncated,
    without_end,
)
from witnessed import adamw, adapted_toy, collate, load_toy, toy_batches, toy_rows, watch

import sft_ref
from sft_ref.errors import SftRefError, TrainingError

FAULTS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "labels all masked": (
        {"batches": rows_as(all_masked)},
        {},
        r"all 4 rows of the first step have no supervised token",
    ),
    "labels of some rows masked": ({"batches": partly_masked}, {}, r"1 of 4 rows of the first step have no supervised"),
    "nothing masked": (
        {"batches": rows_as(nothing_masked)},
        {"batches": rows_as(nothing_masked), "witness": {"supervised": "all"}},
        r"nothing is masked in all 4 rows",
    ),
    "end not supervised": ({"batches": rows_as(without_end)}, {}, r"no row .* supervises the token that ends"),
    "answers cut": ({"batches": truncated}, {"batches": packed}, r"answers are cut by truncation"),
    "padding supervised": ({"batches": padded(5)}, {"batches": padded(-100)}, r"tokens of padding are supervised"),
    "labels shifted twice": ({"batches": rows_as(shifted)}, {}, r"shifted by one, and the model shifts them again"),
    "labels of other tokens": (
        {"batches": rows_as(shuffled)},
        {},
        r"labels differ from the input tokens at their positions",
    ),
    "loss over all tokens": ({"loss": whole_loss}, {"loss": written_loss}, r"loss is not the labels' cross-entropy"),
    "loss with the wrong sign": ({"loss": negative_loss}, {}, r"has a cosine of -1\.00"),
    "part of the adapter frozen": ({"model": frozen_adapter}, {}, r"14 of 42 tensors of the adapter are frozen"),
    "half of the adapter in the optimizer": ({"optimizer": half_optimizer}, {}, r"does not hold 21 of 42 tensors"),
    "optimizer of the base": ({"optimizer": base_optimizer}, {}, r"does not hold all 42 tensors of the adapter"),
    "optimizer of another model": ({"optimizer": foreign_optimizer}, {}, r"holds no parameter of this model"),
    "base trained": ({"model": trained_base}, {"model": saved_modules}, r"1 tensors of the base are trained"),
    "checkpointing without input gradients": (
        {"model": checkpointed(reentrant=True)},
        {"model": checkpointed_with_input_gradients},
        r"gradient checkpointing in its reentrant form",
    ),
    "the same, with a fused head": (
        {"model": fused(reentrant=True)},
        {"model": fused(reentrant=False)},
        r"gradient checkpointing in its reentrant form",
    ),
    "gradient cut": ({"model": unused}, {"model": checkpointed(reentrant=False)}, r"no gradient reaches 3 of 21"),
    "A and B zero": ({"model": lambda: zeroed(adapted_toy())}, {}, r"gradient of all 21 modules .* is zero"),
    "gradients not finite": ({"loss": nan_loss}, {}, r"gradient of all 21 modules .* is NaN or infinite"),
    "evaluation mode": (
        {"model": evaluating},
        {"model": lambda: adapted_toy(lora_dropout=0.1)},
        r"the model is in evaluation mode in all 1 forwards",
    ),
    "dropout asleep": ({"model": sleeping}, {}, r"dropout of 7 modules is in evaluation mode"),
    "adapter in float16": (
        {"model": lambda: adapted_toy(load_toy(torch.float16), autocast_adapter_dtype=False)},
        {"model": lambda: adapted_toy(in_bfloat16())},
        r"all 42 tensors of the adapter are trained in float16",
    ),
    "dtypes mixed": (
        {"model": mixed_dtypes, "autocast": torch.bfloat16},
        {"autocast": torch.bfloat16},
        r"adapter's tensors have several dtypes",
    ),
    "autocast in another 16 bits than the base": (
        {"model": lambda: adapted_toy(load_toy(torch.float16)), "autocast": torch.bfloat16},
        {"model": lambda: adapted_toy(in_bfloat16()), "autocast": torch.bfloat16},
        r"autocast computes in bfloat16 over a base that is stored in float16",
    ),
    "rate too small": (
        {"optimizer": lambda model: adamw(model, 1e-7), "witness": {"steps": 3}},
        {"optimizer": lambda model: adamw(model, 1e-4), "witness": {"steps": 3}},
        r"rates of all 3 planned steps add up to 3e-07: nothing can move",
    ),
    "rate too small, steps not known": (
        {"optimizer": lambda model: adamw(model, 1e-7)},
        {},
        r"rates of all 3 steps added up to 3e-07",
    ),
    "rate lost to rounding": (
        {
            "model": lambda: adapted_toy(
                load_toy(torch.bfloat16), autocast_adapter_dtype=False, init_lora_weights=False
            ),
            "optimizer": lambda model: adamw(model, 1e-6),
            "witness": {"steps": 100},
        },
        {
            "model": lambda: adapted_toy(in_bfloat16(), init_lora_weights=False),
            "optimizer": lambda model: adamw(model, 1e-6),
            "witness": {"steps": 100},
        },
        r"are smaller than the spacing",
    ),
    "schedule ends early": (
        {"schedule": until(30), "witness": {"steps": 100}},
        {"schedule": until(100), "witness": {"steps": 100}},
        r"the learning rate is zero from step 31 on, of 100 planned",
    ),
    "schedule ends early, steps not known": (
        {"schedule": until(2), "batches": lambda: toy_batches(6, 2)},
        {"schedule": until(6), "batches": lambda: toy_batches(6, 2)},
        r"the learning rate is zero from step 3 on, of 6 of the training",
    ),
    "gradients not zeroed": ({"zeroes": False}, {}, r"gradients of the first step are still there"),
    "no step": ({"batches": lambda: toy_batches(1), "accumulate": 8}, {"accumulate": 3}, r"no optimizer of torch made"),
}
"""Name -> what is changed in a loop, what is changed in its sound twin, and what is found."""

FATAL = {
    "labels all masked",
    "labels shifted twice",
    "loss with the wrong sign",
    "optimizer of the base",
    "optimizer of another model",
    "checkpointing without input gradients",
    "the same, with a fused head",
    "A and B zero",
    "gradients not finite",
    "rate too small",
    "rate too small, steps not known",
    "rate lost to rounding",
    "no step",
}
"""Nothing can be learned."""


SOUND: dict[str, dict[str, Any]] = {
    "the base is run beside it": {"loss": against_base},
    "texts behind one another, cut into rows": {"batches": cut_into_rows},
    "a new line behind the end": {"batches": rows_as(behind_new_line)},
    "another model is trained in turn": {"optimizer": TwoOptimizers()},
    "biases are saved": {"model": lambda: adapted_toy(with_biases(), bias="all")},
    "a compiled model": {"model": compiled},
    "SGD with a small rate": {
        "optimizer": lambda model: torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-6),
        "witness": {"steps": 3},
    },
    "a warm-up from zero": {
        "schedule": lambda optimizer: torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, step / 2)),
        "witness": {"steps": 100},
    },
}
"""Name -> an unusual loop that nothing is wrong with."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if "compiled" in name else []) for name in SOUND]
)
def test_an_unusual_loop_has_no_finding(name: str, tmp_path: Path) -> None:
    assert watch(tmp_path, **SOUND[name]) == []


@pytest.mark.parametrize("model", [torch.nn.Linear(2, 2), torch.nn.Sequential(torch.nn.Linear(2, 2))])
def test_a_model_of_another_library_is_refused_in_a_line(model: torch.nn.Module, tmp_path: Path) -> None:
    with (
        pytest.raises(SftRefError, match="not a model of transformers or peft"),
        sft_ref.witness(model, None, tmp_path),
    ):
        pass


def test_an_unknown_option_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SftRefError, match="on_fault is 'ignore'"):
        watch(tmp_path, witness={"on_fault": "ignore"})


def test_a_fatal_fault_ends_the_training_before_anything_changes(tmp_path: Path) -> None:
    model = adapted_toy()
    before = {name: each.clone() for name, each in model.state_dict().items()}
    masked = [collate([all_masked(*row) for row in toy_rows(4)])]
    with (
        witnessed.no_warnings(),
        pytest.raises(TrainingError, match="have no supervised token"),
        sft_ref.witness(model, witnessed.tokenizer(), tmp_path),
    ):
        witnessed.train_loop(model, masked, adamw(model))
    assert all(torch.equal(each, model.state_dict()[name]) for name, each in before.items())
    assert not list(tmp_path.iterdir())
    assert "save_pretrained" not in vars(model)


def matching(faults: Sequence[Any], pattern: str) -> list[Any]:
    return [fault for fault in faults if re.search(pattern, str(fault))]


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(name: str, tmp_path: Path) -> None:
    fault, _, pattern = FAULTS[name]
    found = matching(watch(tmp_path, **fault), pattern)
    assert found
    assert any(each.is_fatal for each in found) == (name in FATAL)
    assert all(each.remedy for each in found)


@pytest.mark.parametrize("name", FAULTS)
def test_its_sound_twin_has_no_finding(name: str, tmp_path: Path) -> None:
    _, twin, _ = FAULTS[name]
    if twin:  # an empty twin is the plain loop
        assert watch(tmp_path, **twin) == []


def test_the_plain_loop_has_no_finding(tmp_path: Path) -> None:
    assert watch(tmp_path) == []
