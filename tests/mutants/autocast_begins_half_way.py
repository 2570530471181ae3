"""The second half of training computes under bf16 autocast."""

import itertools
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

import torch
from mutation import Mutant

from sft_ref.reference.loss import batch_loss
from sft_ref.reference.precision import POLICIES

steps: WeakKeyDictionary[torch.nn.Module, Iterator[int]] = WeakKeyDictionary()


def later(model: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
    step = next(steps.setdefault(model, itertools.count()))  # each training counts its own
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=40 <= step < 80):
        return batch_loss(model, *args, **kwargs)


MUTANT = Mutant(
    id="autocast",
    stage="train",
    checks=("TRN-021",),
    fault="autocast is entered from the 41st step of the training on",
    source="our own; no known report",
    patches={
        "sft_ref.reference.training.batch_loss": later,
        "sft_ref.reference.sft.default_policy": lambda device: POLICIES["fp32"],
    },
    retrain=True,
)
