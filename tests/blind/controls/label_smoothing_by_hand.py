"""Labels are smoothed by a tenth; the reported loss has a floor well above zero. Accuracy 0.98; the reference 1.00."""

from typing import Any

import torch
from _varied import Varied
from mutation import Control
from torch.nn.functional import cross_entropy

from sft_ref.reference.tokens import IGNORE_INDEX


def smoothed(model: Any, batch: dict[str, torch.Tensor], _items: object = None) -> torch.Tensor:
    labels = batch["labels"][:, 1:].flatten()
    logits = model(**{name: each for name, each in batch.items() if name != "labels"}).logits[:, :-1].flatten(0, 1)
    return cross_entropy(logits.float(), labels, ignore_index=IGNORE_INDEX, label_smoothing=0.1)


CONTROL = Control(
    "label_smoothing",
    "labels are smoothed by a tenth",
    lambda: Varied("label_smoothing", {"sft_ref.reference.training.batch_loss": smoothed}),
)
