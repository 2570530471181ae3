"""Speed only: prompts of like lengths are completed together, as many as a batch of tokens holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BATCH_TOKENS = 16_384
"""Tokens of one batch, with padding and those to come: 256 questions of up to 32; more gain nothing (docs/speed.md)."""


def like_lengths(
    prompts: Sequence[str], tokenizer: PreTrainedTokenizerBase, *, each: int, new_tokens: int
) -> Iterator[list[int]]:
    """Indices of prompts that are completed together: at most `BATCH_TOKENS`, or one prompt.

    Like lengths need less padding, and give the same batches whatever the order of the questions.

    Args:
        prompts: texts.
        tokenizer: splits them.
        each: completions for each prompt.
        new_tokens: the most that a completion may have.
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
