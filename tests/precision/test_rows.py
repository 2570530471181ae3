"""Rows that hold little or nothing: heavily padded on the left, and masked throughout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import sft_ref
from sft_ref import BaseLLM
from sft_ref.harness.core import tolerance
from sft_ref.harness.instruments.module_outputs import first_not_finite, largest_outputs
from sft_ref.reference.models import computing
from sft_ref.reference.precision import POLICIES

LOAD_POLICIES = [name + attention for name in POLICIES for attention in ("", "+sdpa")]
PROMPT = sft_ref.format_prompt("Convert 3 kg to g.")


@pytest.fixture(params=LOAD_POLICIES)
def llm(request: pytest.FixtureRequest, train_toy: Callable[[str], Any], load_toy: Callable[..., BaseLLM]) -> BaseLLM:
    return load_toy(train_toy("fp32").folder, request.param)


def logits(llm: BaseLLM, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    with torch.inference_mode(), computing(llm.model, llm.policy), largest_outputs(llm.model) as outputs:
        found = llm.model(
            input_ids=ids.to(llm.device), attention_mask=mask.to(llm.device), position_ids=positions.to(llm.device)
        ).logits
    assert first_not_finite(outputs) is None
    answer: torch.Tensor = found[:, -1].float().cpu()
    return answer


def test_a_heavily_padded_row_gives_the_logits_of_the_row_alone(llm: BaseLLM) -> None:
    ids = llm.tokenizer([PROMPT], return_tensors="pt")["input_ids"]
    alone = logits(llm, ids, torch.ones_like(ids))
    for padding in (1, 64, 400):
        padded = torch.nn.functional.pad(ids, (padding, 0), value=llm.tokenizer.pad_token_id)
        mask = torch.nn.functional.pad(torch.ones_like(ids), (padding, 0))
        found = logits(llm, padded, mask)
        assert (found - alone).abs().max() <= tolerance.logits(llm.policy.computes, alone)
    unmasked = logits(llm, padded, torch.ones_like(padded))
    assert (unmasked - alone).abs().max() > (found - alone).abs().max()  # the mask is what does it


def test_a_row_that_is_masked_throughout_is_finite_and_moves_no_other(llm: BaseLLM) -> None:
    ids = llm.tokenizer([PROMPT], return_tensors="pt")["input_ids"].repeat(2, 1)
    mask = torch.ones_like(ids)
    due = logits(llm, ids, mask)[0]
    mask[1] = 0
    found = logits(llm, ids, mask)
    assert found.isfinite().all()
    assert (found[0] - due).abs().max() <= tolerance.logits(llm.policy.computes, due)
