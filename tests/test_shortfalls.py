"""How far what a submission's model said lies below what the same model finds likeliest."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from sft_ref.harness.instruments.answering import shortfalls


class Vocabulary(SimpleNamespace):
    """A tokenizer with twelve tokens."""

    def __len__(self) -> int:
        return 12


def successor(input_ids: torch.Tensor, attention_mask: torch.Tensor, *, use_cache: bool) -> Any:  # noqa: ANN401
    """A model that finds each token's successor likeliest, by 5 nat."""
    logits = torch.zeros(*input_ids.shape, 12)
    logits.scatter_(-1, ((input_ids + 1) % 12)[..., None], 5.0)
    return SimpleNamespace(logits=logits)


@pytest.mark.parametrize(
    ("prompt", "said", "due"),
    [
        ([4, 5], [6, 7, 8], 0.0),
        ([4, 5], [6, 9], 5.0),
        ([2, 2, 4, 5], [6, 7], 0.0),
        ([4, 5, 2, 2, 2], [3, 4], 0.0),
        ([4, 5], [6, 7, 8, 9, 10, 11, 0, 1, 9], 0.0),
        ([4, 5], [6, 7, 2, 2], 0.0),
        ([4, 5], [2, 2], 5.0),
    ],
    ids=[
        *("likeliest", "one that is not", "padded on the left", "padded on the right", "only the first eight count"),
        *("padding behind a row that a criterion ended", "an end at once"),
    ],
)
def test_the_most_unlikely_token_counts(prompt: list[int], said: list[int], due: float) -> None:
    tokenizer = Vocabulary(pad_token_id=2, eos_token_id=2)
    [found] = shortfalls(successor, tokenizer, [{"prompt_ids": prompt, "new_token_ids": said}])
    assert found.most == pytest.approx(due)


def test_rows_that_begin_in_a_cache_are_left_out() -> None:
    tokenizer = Vocabulary(pad_token_id=2, eos_token_id=2)
    assert shortfalls(successor, tokenizer, [{"prompt_ids": [4], "new_token_ids": [9], "continues_cache": True}]) == []


def test_tokens_beyond_the_vocabulary_are_left_out() -> None:
    tokenizer = Vocabulary(pad_token_id=2, eos_token_id=2)
    assert (
        shortfalls(
            successor, tokenizer, [{"prompt_ids": [4], "new_token_ids": [12]}, {"prompt_ids": [], "new_token_ids": [5]}]
        )
        == []
    )
