"""The value is the mean over tokens, and the gradient that of the mean over rows."""

from typing import Any

import torch
from mutation import Mutant

from sft_ref.reference.loss import batch_loss


def mixed(model: Any, batch: dict[str, torch.Tensor], *args: Any, **kwargs: Any) -> torch.Tensor:
    loss = batch_loss(model, batch, *args, **kwargs)
    by_row = loss * (batch["labels"] != -100).sum() / len(batch["labels"])
    return by_row + (loss - by_row).detach()


MUTANT = Mutant(
    id="by-row",
    stage="train",
    checks=("TRN-006", "TRN-024"),
    fault="the loss is reported by token and minimised by row",
    source="our own; no known report",
    patches={"sft_ref.reference.training.batch_loss": mixed},
    retrain=True,
)
