"""The second half of training computes under bf16 autocast."""

import itertools
from typing import Any

import torch
from mutation import Mutant

from sft_ref.reference.loss import batch_loss

steps = itertools.count()


def later(*args: Any, **kwargs: Any) -> torch.Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=40 <= next(steps) < 80):
        return batch_loss(*args, **kwargs)


MUTANT = Mutant(
    id="autocast",
    stage="train",
    checks=("TRN-021",),
    fault="autocast is entered from the 41st step of the training on",
    source="ours, of no report",
    patches={"sft_ref.reference.training.batch_loss": later},
    retrain=True,
)
