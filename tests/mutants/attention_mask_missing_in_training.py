"""Training attends to the padding on the left."""

from typing import Any

import torch
from mutation import Mutant

from sft_ref.reference.loss import batch_loss


def unmasked(model: Any, batch: dict[str, torch.Tensor], *args: Any, **kwargs: Any) -> torch.Tensor:
    mask = torch.ones_like(batch["attention_mask"])
    return batch_loss(model, {**batch, "attention_mask": mask, "position_ids": mask.cumsum(1) - 1}, *args, **kwargs)


MUTANT = Mutant(
    id="unmasked",
    stage="train",
    checks=("TRN-022",),
    fault="training attends to the padding on the left, which inference does not",
    source="ours, of no report",
    patches={"sft_ref.reference.training.batch_loss": unmasked},
    retrain=True,
)
