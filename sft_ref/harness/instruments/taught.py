"""What a training batch teaches: its rows without padding, and the answers that they spell. Knows no implementation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sft_ref.harness.core.implementation import Batch
from sft_ref.reference.data import is_answer_valid

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100
"""Label of a token that carries no loss, as torch's cross entropy has it."""

_NUMBER = re.compile(r"[+-]?(?:[0-9][0-9,_]*\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class Taught:
    """One training text: the ids that are attended, and their labels."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]

    @property
    def begin(self) -> int | None:
        """Index of the first label."""
        return next((i for i, label in enumerate(self.labels) if label != IGNORED), None)

    @property
    def end(self) -> int:
        """Index behind the last label; 0 where there is none."""
        return max((i + 1 for i, label in enumerate(self.labels) if label != IGNORED), default=0)


def rows_of(batch: Batch) -> list[Taught]:
    """The rows of a batch, padding removed by its mask."""
    masks = batch.attention_mask.bool()
    return [
        Taught(tuple(ids[mask].tolist()), tuple(labels[mask].tolist()))
        for ids, labels, mask in zip(batch.input_ids, batch.labels, masks, strict=True)
    ]


def decode(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    """The text of ids, special tokens and spaces as they are."""
    return str(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))


def spells(text: str, value: float) -> bool:
    """Whether one of the numbers in a text is a valid answer where `value` is the truth, whatever stands around it."""
    return any(is_answer_valid(float(re.sub("[,_]", "", found)), value) for found in _NUMBER.findall(text))
