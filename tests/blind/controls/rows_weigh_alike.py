"""Each row weighs the same in the loss, however many tokens its answer has.

Accuracy 1.00; the reference 1.00.
"""

from typing import Any

import torch
from _varied import Varied
from mutation import Control
from torch.nn.functional import cross_entropy

from sft_ref.reference.tokens import IGNORE_INDEX


def by_row(model: Any, batch: dict[str, torch.Tensor], _items: object = None) -> torch.Tensor:
    labels = batch["labels"][:, 1:]
    logits = model(**{name: each for name, each in batch.items() if name != "labels"}).logits[:, :-1]
    losses = cross_entropy(logits.float().transpose(1, 2), labels, ignore_index=IGNORE_INDEX, reduction="none")
    return (losses.sum(1) / (labels != IGNORE_INDEX).sum(1)).mean()


CONTROL = Control(
    "rows_weigh_alike",
    "the loss is the mean over rows of their mean over tokens",
    lambda: Varied("rows_weigh_alike", {"sft_ref.reference.training.batch_loss": by_row}),
)
