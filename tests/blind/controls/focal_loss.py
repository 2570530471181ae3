"""A focal loss: tokens that are sure already carry hardly any weight. Accuracy 1.00; the reference 1.00."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from _varied import Varied
from mutation import Control
from torch.nn.functional import cross_entropy

from sft_ref.harness.core.implementation import TrainingResult
from sft_ref.reference.data import Row
from sft_ref.reference.settings import Settings
from sft_ref.reference.tokens import IGNORE_INDEX


def focal(model: Any, batch: dict[str, torch.Tensor], _items: object = None) -> torch.Tensor:
    logits = model(**{name: each for name, each in batch.items() if name != "labels"}).logits[:, :-1]
    labels = batch["labels"][:, 1:]
    losses = cross_entropy(logits[labels != IGNORE_INDEX].float(), labels[labels != IGNORE_INDEX], reduction="none")
    return (losses * (1 - torch.exp(-losses))).mean()


class Declared(Varied):
    def train(self, folder: Path, rows: Sequence[Row], settings: Settings) -> TrainingResult:
        return replace(super().train(folder, rows, settings), label_smoothing=None)


CONTROL = Control(
    "focal_loss",
    "a token's loss is weighted by its error, and declared to be no cross entropy",
    lambda: Declared("focal_loss", {"sft_ref.reference.training.batch_loss": focal}),
)
