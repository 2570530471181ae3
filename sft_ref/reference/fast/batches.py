"""Speed only: batches prompts of similar lengths, as many as fit a number of tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BATCH_TOKENS = 16_384
"""Tokens per batch, including padding and new tokens: 256 questions of up to 32; more gain nothing (docs/speed.md)."""


def batches_by_length(
    prompts: Sequence[str], tokenizer: PreTrainedTokenizerBase, *, each: int, new_tokens: int
) -> Iterator[list[int]]:
    """Yields the indices of the prompts of each batch: at most `BATCH_TOKENS` tokens, or one prompt.

    Similar lengths need less padding, and sorting makes the batches independent of the order of the questions.

    Args:
        prompts: prompts to batch.
        tokenizer: tokenizer of the model.
        each: number of completions for each prompt.
        new_tokens: largest number of tokens of a completion.
    """
    lengths = [len(ids) for ids in tokenizer([*prompts])["input_ids"]] if prompts else []
    batch: list[int] = []
    for i in sorted(range(len(prompts)), key=lambda i: (lengths[i], prompts[i])):
        if batch and (len(batch) + 1) * each * (lengths[i] + new_tokens) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch
