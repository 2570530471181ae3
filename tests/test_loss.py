"""The loss of training: that of all logits, for the price of the supervised ones."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sft_ref import BaseLLM, split_rows
from sft_ref.reference.adapter import add_adapter
from sft_ref.reference.loss import batch_loss
from sft_ref.reference.precision import POLICIES
from sft_ref.reference.tokens import IGNORE_INDEX, Example, collate, tokenize_example

EXAMPLES = st.lists(
    st.lists(st.integers(3, 50), min_size=2, max_size=12).flatmap(
        lambda ids: st.builds(Example, st.just(tuple(ids)), st.integers(1, len(ids) - 1))
    ),
    min_size=1,
    max_size=8,
)


def loss_of_all_logits(llm: BaseLLM, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    logits = llm.model(**{name: tensor for name, tensor in batch.items() if name != "labels"}).logits
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten())


@given(rows=EXAMPLES)
def test_it_is_the_loss_of_all_logits(blank_toy: BaseLLM, rows: list[Example]) -> None:
    batch = collate(rows, pad_token_id=2)
    with torch.no_grad():
        torch.testing.assert_close(batch_loss(blank_toy.model, batch), loss_of_all_logits(blank_toy, batch))


def test_its_gradients_are_those_of_all_logits() -> None:
    llm = BaseLLM("toy", policy=POLICIES["fp32"])
    model = add_adapter(llm.model, llm.policy, rank=4, alpha=8)
    trained = [tensor for tensor in model.parameters() if tensor.requires_grad]
    draw = torch.Generator().manual_seed(0)
    for tensor in trained:
        tensor.data = torch.randn(tensor.shape, generator=draw) * 0.02
    batch = collate([tokenize_example(llm.tokenizer, *row) for row in split_rows("train")[:8]], pad_token_id=2)
    ours = torch.autograd.grad(batch_loss(model, batch), trained)
    theirs = torch.autograd.grad(loss_of_all_logits(llm, batch), trained)
    torch.testing.assert_close(ours, theirs)


def test_of_a_step_it_does_not_depend_on_how_it_is_split_into_micro_batches(blank_toy: BaseLLM) -> None:
    rows = [Example((5, 6, 7, 8), 3), Example((5, 9), 1), Example((4, 4, 4, 4, 4), 2)]
    whole = collate(rows, pad_token_id=2)
    count = int((whole["labels"] != IGNORE_INDEX).sum())
    with torch.no_grad():
        parts = [batch_loss(blank_toy.model, collate([row], pad_token_id=2), count) for row in rows]
        torch.testing.assert_close(torch.stack(parts).sum(), batch_loss(blank_toy.model, whole))


def test_the_head_computes_supervised_tokens_only_and_in_one_product(blank_toy: BaseLLM) -> None:
    """Rows of a view, as `logits_to_keep` gives them, would each copy the head's weight."""
    seen: list[torch.Tensor] = []
    head: Any = blank_toy.model.get_output_embeddings()
    hook = head.register_forward_hook(lambda _, args, __: seen.append(args[0]))
    batch = collate([Example((5, 6, 7, 8), 3), Example((5, 9), 1)], pad_token_id=2)
    with torch.no_grad():
        batch_loss(blank_toy.model, batch)
    hook.remove()
    assert [tuple(each.shape[:2]) for each in seen] == [(1, 4)]
    assert seen[0].is_contiguous()
    assert not head._forward_pre_hooks


def test_a_model_that_fails_is_left_as_it_was(blank_toy: BaseLLM) -> None:
    batch = collate([Example((5, 9), 1)], pad_token_id=2)
    with pytest.raises(IndexError), torch.no_grad():
        batch_loss(blank_toy.model, {**batch, "input_ids": batch["input_ids"] + 10**6})
    head: Any = blank_toy.model.get_output_embeddings()
    assert not head._forward_pre_hooks
