"""The collator shifts the labels, and the loss shifts them again: each token learns the one after the next.

Last loss 1.2820; sound 0.0027. Accuracy 0.00; sound 1.00.
"""

from typing import Any

import torch
from mutation import Mutant

from sft_ref.reference.loss import batch_loss
from sft_ref.reference.tokens import IGNORE_INDEX


def broken(model: Any, batch: dict[str, torch.Tensor], *args: Any) -> torch.Tensor:
    shifted = torch.nn.functional.pad(batch["labels"][:, 1:], (0, 1), value=IGNORE_INDEX)
    return batch_loss(model, {**batch, "labels": shifted}, *args)


MUTANT = Mutant(
    id="labels_shifted_twice",
    stage="train",
    checks=(),
    fault="labels are shifted by two tokens in the loss",
    source="no report",
    patches={"sft_ref.reference.training.batch_loss": broken},
    retrain=True,
)
