"""Extracts the rows of a training batch without padding; independent of any implementation."""

from __future__ import annotations

from dataclasses import dataclass

from sft_ref.reference.tokens import IGNORE_INDEX

from .implementation import Batch


@dataclass(frozen=True)
class TrainingExample:
    """One training text: its attended token ids and their labels."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]

    @property
    def begin(self) -> int | None:
        """Index of the first label; None if there is none."""
        return next((i for i, label in enumerate(self.labels) if label != IGNORE_INDEX), None)

    @property
    def end(self) -> int:
        """Index after the last label; 0 if there is none."""
        return max((i + 1 for i, label in enumerate(self.labels) if label != IGNORE_INDEX), default=0)


@dataclass(frozen=True)
class Text:
    """One training text, and the position of the answer in it.

    Attributes:
        question: question in the data; `asked` is the same question as written in the text, without its mark.
        value: the true answer.
        begin, end: indices of the numeral's first token and after its last; equal if the text has no valid numeral.
        numeral: the numeral as written; for an invalid answer, the nearest one.
    """

    example: TrainingExample
    question: str
    value: float
    begin: int
    end: int
    before: str
    between: str
    numeral: str
    after: str
    asked: str

    @property
    def is_answered(self) -> bool:
        """Whether the text contains the answer."""
        return self.end > self.begin


def examples_of(batch: Batch) -> list[TrainingExample]:
    """Returns the rows of a batch, without the padding marked by its attention mask."""
    masks = batch.attention_mask.bool()
    return [
        TrainingExample(tuple(ids[mask].tolist()), tuple(labels[mask].tolist()))
        for ids, labels, mask in zip(batch.input_ids, batch.labels, masks, strict=True)
    ]
