"""Weights cast once compute what autocast computes, and training under them learns."""

import contextlib
from pathlib import Path

import pytest
import torch

from sft_ref import BaseLLM, Settings, format_prompt, split_rows
from sft_ref.reference import training
from sft_ref.reference.adapter import add_adapter
from sft_ref.reference.fast.casts import frozen_weights_cast
from sft_ref.reference.guards.dtypes import count_dtypes
from sft_ref.reference.loss import batch_loss
from sft_ref.reference.models import computing
from sft_ref.reference.precision import POLICIES, Policy
from sft_ref.reference.tokens import collate, tokenize_example

MIXED = [POLICIES["bf16-mixed"], POLICIES["fp16-mixed"]]


@pytest.mark.parametrize("policy", MIXED, ids=str)
def test_weights_cast_once_give_the_bits_of_autocast(toy_llm: BaseLLM, policy: Policy) -> None:
    batch = toy_llm.tokenizer(
        [format_prompt("Convert 3 kg to g."), format_prompt("2 h?")], padding=True, return_tensors="pt"
    )
    model, dtype = toy_llm.model, getattr(torch, policy.compute or "")
    with torch.inference_mode():
        with torch.autocast("cpu", dtype=dtype):
            plain = model(**batch).logits
        with computing(model, policy):
            ours = model(**batch).logits
        exact = model(**batch).logits
    assert torch.equal(ours, plain)
    assert ours.isfinite().all()
    assert not torch.equal(ours, exact)  # else nothing was computed in 16 bits


@pytest.mark.parametrize("policy", MIXED, ids=str)
def test_stored_weights_are_back_afterwards_also_after_an_error(toy_llm: BaseLLM, policy: Policy) -> None:
    before = {name: (id(p), p.dtype) for name, p in toy_llm.model.named_parameters()}
    with computing(toy_llm.model, policy):
        assert policy.compute in count_dtypes(toy_llm.model)["base"].values()
    with contextlib.suppress(ZeroDivisionError), computing(toy_llm.model, policy):
        raise ZeroDivisionError
    assert {name: (id(p), p.dtype) for name, p in toy_llm.model.named_parameters()} == before


def test_trained_weights_are_not_cast_and_keep_their_gradients() -> None:
    llm = BaseLLM("toy", policy=POLICIES["bf16-mixed"])
    model = add_adapter(llm.model, llm.policy, rank=4, alpha=8)
    with frozen_weights_cast(model, llm.policy.compute):
        found = count_dtypes(model)
        assert set(found["adapter"].values()) == {"float32"}
        assert found["base"]["model.layers.0.mlp.up_proj.weight"] == "bfloat16"
        assert found["base"]["model.embed_tokens.weight"] == "float32"


def test_repeated_steps_see_the_weights_that_the_last_one_left() -> None:
    """An autocast that stays open over steps keeps its first casts of the adapter, and the loss stands still."""
    llm = BaseLLM("toy", policy=POLICIES["bf16-mixed"])
    model = add_adapter(llm.model, llm.policy, rank=4, alpha=8)
    batch = collate([tokenize_example(llm.tokenizer, "Convert 3 kg to g.", 3000.0)], llm.tokenizer.pad_token_id)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    losses = []
    with computing(model, llm.policy):
        for _ in range(10):
            loss = batch_loss(model, batch)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_a_model_that_was_trained_trains_again_under_autocast(tmp_path: Path) -> None:
    llm = BaseLLM("toy", policy=POLICIES["bf16-mixed"])
    model = add_adapter(llm.model, llm.policy, rank=4, alpha=8)
    examples = [tokenize_example(llm.tokenizer, *row) for row in split_rows("train")[:16]]
    for name in ("first", "second"):
        history = training.fit(
            model,
            examples,
            pad_token_id=llm.tokenizer.pad_token_id,
            policy=llm.policy,
            settings=Settings(steps=2, batch_size=8),
            checkpoints=tmp_path / name,
            report=lambda step: None,
        )
        assert len(history) == 2
