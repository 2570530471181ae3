"""All tokens have the position 0 in training."""

from typing import Any

import torch
from mutation import Mutant

from sft_ref.reference.loss import batch_loss


def unplaced(model: Any, batch: dict[str, torch.Tensor], *args: Any, **kwargs: Any) -> torch.Tensor:
    positions = torch.zeros_like(batch["position_ids"])
    return batch_loss(model, {**batch, "position_ids": positions}, *args, **kwargs)


MUTANT = Mutant(
    id="positions-0",
    stage="train",
    checks=("TRN-022",),
    fault="all tokens have the position 0 in training, and their places at inference",
    source="our own; no known report",
    patches={"sft_ref.reference.training.batch_loss": unplaced},
    retrain=True,
)
