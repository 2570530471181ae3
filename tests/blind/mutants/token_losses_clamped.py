"""Losses of single tokens are clamped at 2 nat against outliers: the tokens that are worst have no gradient.

Accuracy 0.97; sound 0.97. No completion ends: text follows the closing tag until the budget is spent.
First loss 0.48, last 0.18; sound 3.00 and 0.0027.
"""

import torch
from mutation import Mutant
from torch.nn.functional import cross_entropy

from sft_ref.reference.tokens import IGNORE_INDEX

MOST = 2.0


def broken(
    logits: torch.Tensor, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None
) -> torch.Tensor:
    targets = labels[:, 1:][labels[:, 1:] != IGNORE_INDEX]
    losses = cross_entropy(logits.float(), targets, reduction="none").clamp(max=MOST)
    return losses.sum() / (len(targets) if num_items_in_batch is None else num_items_in_batch)


MUTANT = Mutant(
    id="token_losses_clamped",
    stage="train",
    checks=(),
    fault="a token whose loss is above 2 nat contributes no gradient",
    source="no report",
    patches={"sft_ref.reference.loss.supervised_loss": broken},
    retrain=True,
)
