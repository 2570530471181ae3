"""What a training batch teaches: its rows without padding. Knows no implementation."""

from __future__ import annotations

from dataclasses import dataclass

from sft_ref.reference.tokens import IGNORE_INDEX

from .implementation import Batch


@dataclass(frozen=True)
class TrainingExample:
    """One training text: the ids that are attended, and their labels."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]

    @property
    def begin(self) -> int | None:
        """Index of the first label."""
        return next((i for i, label in enumerate(self.labels) if label != IGNORE_INDEX), None)

    @property
    def end(self) -> int:
        """Index behind the last label; 0 where there is none."""
        return max((i + 1 for i, label in enumerate(self.labels) if label != IGNORE_INDEX), default=0)


@dataclass(frozen=True)
class Text:
    """One training text, and where in it the answer stands.

    Attributes:
        question: of the data; as it stands in the text it is `asked`, without its mark.
        value: its answer.
        begin, end: indices of the numeral's tokens; equal where the text holds no valid numeral.
        numeral: as it is written; of an invalid answer the nearest one.
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
        """Whether the text holds the answer."""
        return self.end > self.begin


def examples_of(batch: Batch) -> list[TrainingExample]:
    """The rows of a batch, padding removed by its mask."""
    masks = batch.attention_mask.bool()
    return [
        TrainingExample(tuple(ids[mask].tolist()), tuple(labels[mask].tolist()))
        for ids, labels, mask in zip(batch.input_ids, batch.labels, masks, strict=True)
    ]
