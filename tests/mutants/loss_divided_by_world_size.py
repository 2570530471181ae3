"""The loss is divided by the world size of the machine it was written for."""

from typing import Any

import torch
from mutation import Mutant

from sft_ref.reference.loss import batch_loss


def divided(*args: Any, **kwargs: Any) -> torch.Tensor:
    return batch_loss(*args, **kwargs) / 8


MUTANT = Mutant(
    id="world-size",
    stage="train",
    checks=("TRN-023", "TRN-024"),
    fault="the loss is divided by a world size of 8 in a single process",
    source="our own; no known report",
    patches={"sft_ref.reference.training.batch_loss": divided},
    retrain=True,
)
