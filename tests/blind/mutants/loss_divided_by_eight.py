"""The loss is divided by a world size of 8 on a single process; its gradient too.

Last loss 0.0004; sound 0.0027. Accuracy 1.00; sound 1.00.
"""

from typing import Any

import torch
from mutation import Mutant

from sft_ref.reference.loss import batch_loss


def broken(*args: Any) -> torch.Tensor:
    return batch_loss(*args) / 8


MUTANT = Mutant(
    id="loss_divided_by_world_size",
    stage="train",
    checks=(),
    fault="the loss is divided by a world size of 8, and one process trains",
    source="no report",
    patches={"sft_ref.reference.training.batch_loss": broken},
    retrain=True,
)
