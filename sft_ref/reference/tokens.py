"""Converts training texts to token ids, labels and batches. Independent of models and training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from sft_ref.errors import DataError

from .prompt import format_example

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORE_INDEX = -100
"""Label of a token that is excluded from the loss, the default of torch's cross entropy."""

MAX_TOKENS = 128


@dataclass(frozen=True)
class Example:
    """Token ids of one training text, and the number of supervised tokens at its end."""

    input_ids: tuple[int, ...]
    supervised: int


def tokenize_example(
    tokenizer: PreTrainedTokenizerBase, question: str, value: float | str, *, max_tokens: int = MAX_TOKENS
) -> Example:
    """Returns the ids of prompt, target and end-of-sequence token; the prompt's ids are exactly those of inference.

    Prompt and target are tokenized separately, so that no token crosses the boundary. A text that is too long loses the
    beginning of its prompt, never its target.

    Raises:
        DataError: the target alone is longer than `max_tokens`.
    """
    text = format_example(question, value)
    prompt = tokenizer(text["question"])["input_ids"]
    target = [*tokenizer(text["answer"], add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    if len(target) > max_tokens:
        raise DataError(f"the answer {text['answer']!r} is {len(target)} tokens long; at most {max_tokens} fit")
    return Example(tuple([*prompt, *target][-max_tokens:]), len(target))


def collate(examples: Sequence[Example], pad_token_id: int) -> dict[str, torch.Tensor]:
    """Makes a batch of examples, padded on the left like prompts at inference.

    Returns:
        ``input_ids``, ``attention_mask``, ``position_ids`` and ``labels``, each int64 of shape (batch, longest).
    """
    longest = max(len(example.input_ids) for example in examples)
    batch = torch.full((len(examples), longest), pad_token_id)
    mask, labels = torch.zeros_like(batch), torch.full_like(batch, IGNORE_INDEX)
    for row, example in enumerate(examples):
        ids = torch.tensor(example.input_ids)
        batch[row, -len(ids) :] = ids
        mask[row, -len(ids) :] = 1
        labels[row, -example.supervised :] = ids[-example.supervised :]
    return {
        "input_ids": batch,
        "attention_mask": mask,
        "position_ids": (mask.cumsum(1) - 1).clamp(min=0),
        "labels": labels,
    }
