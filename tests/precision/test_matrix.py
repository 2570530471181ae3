"""Train policy × load policy × attention backend × batch size × padding: all is finite, and what must be equal is."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import sft_ref
from sft_ref import BaseLLM
from sft_ref.harness.core import tolerance
from sft_ref.harness.instruments.module_outputs import first_not_finite, largest_outputs
from sft_ref.reference.adapter import add_adapter
from sft_ref.reference.guards.adapter_files import read_tensors
from sft_ref.reference.guards.dtypes import count_dtypes, differences, output_dtypes
from sft_ref.reference.loss import batch_loss
from sft_ref.reference.models import computing
from sft_ref.reference.precision import POLICIES, find_policy
from sft_ref.reference.record import read_record
from sft_ref.reference.tokens import IGNORE_INDEX, collate, tokenize_example
from sft_ref.sweep.measure import teacher_force

pytestmark = pytest.mark.slow

ROWS = sft_ref.split_rows("validation")[:16]
QUESTIONS = [question for question, _ in ROWS]
PADDING = 48
LOAD_POLICIES = [name + attention for name in POLICIES for attention in ("", "+sdpa")]
Load = Callable[[Path, str], BaseLLM]


def batch_of(llm: BaseLLM, rows: int, padding: int = 0) -> dict[str, torch.Tensor]:
    """Prompts, padded on the left to the longest and then further."""
    prompts = [llm.format_prompt(question) for question in QUESTIONS[:rows]]
    found = llm.tokenizer(prompts, padding=True, padding_side="left", return_tensors="pt")
    ids = torch.nn.functional.pad(found["input_ids"], (padding, 0), value=llm.tokenizer.pad_token_id)
    mask = torch.nn.functional.pad(found["attention_mask"], (padding, 0))
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    return {
        name: tensor.to(llm.device)
        for name, tensor in (("input_ids", ids), ("attention_mask", mask), ("position_ids", positions))
    }


def last_logits(llm: BaseLLM, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    with torch.inference_mode(), computing(llm.model, llm.policy):
        logits: torch.Tensor = llm.model(**batch).logits[:, -1].float().cpu()
    return logits


def test_losses_and_gradients_of_training_are_finite(trained: Any) -> None:
    assert len(trained.history) == 10
    # a gradient scaler finds its scale in the first steps, by overflowing
    steps = trained.history[5:] if "fp16" in trained.policy else trained.history
    assert all(math.isfinite(step.loss) and math.isfinite(step.grad_norm) for step in steps)


@pytest.mark.parametrize("padding", [0, PADDING])
@pytest.mark.parametrize("rows", [1, 6])
@pytest.mark.parametrize("attention", ["", "+sdpa"])
@pytest.mark.parametrize("name", ["fp32", "bf16-mixed", "bf16", "fp16-mixed"])
def test_every_gradient_is_finite_and_in_the_adapters_dtype(
    name: str, attention: str, rows: int, padding: int, device: torch.device
) -> None:
    policy = find_policy(name + attention)
    llm = BaseLLM("toy", policy=policy, device=device)
    model = add_adapter(llm.model, policy, rank=4, alpha=8)
    batch = collate([tokenize_example(llm.tokenizer, *row) for row in ROWS[:rows]], llm.tokenizer.pad_token_id)
    fill = {"input_ids": llm.tokenizer.pad_token_id, "attention_mask": 0, "position_ids": 0, "labels": IGNORE_INDEX}
    padded = {key: torch.nn.functional.pad(batch[key], (padding, 0), value=value) for key, value in fill.items()}
    padded = {key: tensor.to(device) for key, tensor in padded.items()}
    with computing(model, policy):
        loss = batch_loss(model, padded)
    loss.backward()
    assert loss.isfinite()
    gradients = {n: p.grad for n, p in model.named_parameters() if p.requires_grad}
    for gradient in gradients.values():
        assert gradient is not None
        assert gradient.isfinite().all()
        assert gradient.dtype == getattr(torch, policy.adapter)
    assert any(gradient.any() for gradient in gradients.values() if gradient is not None)


@pytest.mark.parametrize("padding", [0, PADDING])
@pytest.mark.parametrize("rows", [1, 6])
@pytest.mark.parametrize("load_policy", LOAD_POLICIES)
def test_logits_hidden_states_and_scores_are_finite_under_every_load_policy(
    trained: Any, load_policy: str, rows: int, padding: int, load_toy: Load
) -> None:
    llm = load_toy(trained.folder, load_policy)
    batch = batch_of(llm, rows, padding)
    batch.pop("position_ids")
    with torch.inference_mode(), computing(llm.model, llm.policy), largest_outputs(llm.model) as outputs:
        llm.model.generate(
            **batch, max_new_tokens=3, do_sample=False, eos_token_id=None, pad_token_id=llm.tokenizer.pad_token_id
        )
    assert len(outputs) > 50
    assert any("lm_head" in name for name in outputs)
    assert first_not_finite(outputs) is None


def test_what_is_loaded_has_the_dtypes_that_were_trained_and_computes_in_them(trained: Any) -> None:
    llm = sft_ref.load(trained.folder)
    record = read_record(trained.folder, read_tensors(trained.folder))
    assert record is not None
    assert llm.policy.name == record.policy == trained.policy
    assert count_dtypes(llm.model) == record.dtypes
    with output_dtypes(llm.model) as answering:
        llm.answer(QUESTIONS[0])
    assert record.computed
    assert differences(record.computed, answering) == []


def test_what_is_loaded_gives_the_logits_of_training_bit_for_bit(trained: Any) -> None:
    """Within a process, pinned as `sft_ref.sweep.determinism` says, under each attention backend."""
    found = teacher_force(sft_ref.load(trained.folder), ROWS)
    assert torch.equal(found.logits, trained.trained.logits)
    assert torch.equal(found.losses, trained.trained.losses)


@pytest.mark.parametrize("load_policy", LOAD_POLICIES)
def test_no_clear_choice_of_a_token_turns_under_another_load_policy(
    trained: Any, load_policy: str, load_toy: Load
) -> None:
    """Clear: the margin of the two best logits is more than rounding explains."""
    llm = load_toy(trained.folder, load_policy)
    found = teacher_force(llm, ROWS).logits
    dtypes = [dtype for each in (find_policy(trained.policy), llm.policy) for dtype in (each.computes, each.storage)]
    allowed = tolerance.logits(max(dtypes, key=lambda dtype: tolerance.WEIGHTS[dtype]), trained.trained.logits)
    assert not tolerance.differing_choices(trained.trained.logits, found, allowed).any()
    if (llm.policy.storage, llm.policy.compute) != (dtypes[1], find_policy(trained.policy).compute):
        assert not torch.equal(found, trained.trained.logits)  # else nothing was computed otherwise


@pytest.mark.parametrize("load_policy", LOAD_POLICIES)
def test_a_row_in_a_batch_gives_the_logits_that_it_gives_alone(trained: Any, load_policy: str, load_toy: Load) -> None:
    llm = load_toy(trained.folder, load_policy)
    together = last_logits(llm, batch_of(llm, 6))
    for row in range(6):
        batch = {key: tensor[row : row + 1] for key, tensor in batch_of(llm, 6).items()}
        kept = batch["attention_mask"][0].bool()
        alone = last_logits(llm, {key: tensor[:, kept] for key, tensor in batch.items()})
        allowed = tolerance.logits(llm.policy.computes, alone)
        assert (alone - together[row]).abs().max() <= allowed
        assert not tolerance.differing_choices(alone, together[row : row + 1], allowed).any()
