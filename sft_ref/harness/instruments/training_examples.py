"""What a training batch teaches: its rows without padding. Knows no implementation."""

from __future__ import annotations

from dataclasses import dataclass

from sft_ref.harness.core.implementation import Batch
from sft_ref.reference.tokens import IGNORE_INDEX


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


def examples_of(batch: Batch) -> list[TrainingExample]:
    """The rows of a batch, padding removed by its mask."""
    masks = batch.attention_mask.bool()
    return [
        TrainingExample(tuple(ids[mask].tolist()), tuple(labels[mask].tolist()))
        for ids, labels, mask in zip(batch.input_ids, batch.labels, masks, strict=True)
    ]
