"""The attention mask does not reach the model in training: rows attend to the padding on their left.

In a batch of 32, logits of supervised tokens move by up to 5.1. Accuracy 0.96; sound 0.97.
"""

from typing import Any

import torch
from mutation import Mutant

from sft_ref.reference.loss import batch_loss


def broken(model: Any, batch: dict[str, torch.Tensor], items: Any = None) -> torch.Tensor:
    return batch_loss(model, {**batch, "attention_mask": torch.ones_like(batch["attention_mask"])}, items)


MUTANT = Mutant(
    id="padding_attended_in_training",
    stage="train",
    checks=(),
    fault="rows attend to their padding in training, and not when asked",
    source="no report",
    patches={"sft_ref.reference.training.batch_loss": broken},
    retrain=True,
)
