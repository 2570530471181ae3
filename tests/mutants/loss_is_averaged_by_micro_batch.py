"""The loss is averaged over each micro-batch, whatever number of tokens the step has."""

import torch
from mutation import Mutant

from sft_ref.reference import loss

supervised_loss = loss.supervised_loss


def averaged(logits: torch.Tensor, labels: torch.Tensor, **_count: int) -> torch.Tensor:
    return supervised_loss(logits, labels)


MUTANT = Mutant(
    id="O1",
    stage="train",
    checks=("TRN-006",),
    fault="the loss is normalised by micro-batch, and scales with accumulation",
    source="transformers#34191, transformers#35438",
    patches={"sft_ref.reference.loss.supervised_loss": averaged},
)
