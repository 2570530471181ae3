"""Gradients are clipped to a norm of 0.0001."""

from typing import Any

from mutation import Mutant
from transformers import TrainingArguments


def clipping(**arguments: Any) -> TrainingArguments:
    return TrainingArguments(**{**arguments, "max_grad_norm": 1e-4})


MUTANT = Mutant(
    id="clipping",
    stage="train",
    checks=("TRN-025",),
    fault="gradients are clipped to a norm of 0.0001",
    source="our own; no known report",
    patches={"sft_ref.reference.training.TrainingArguments": clipping},
    retrain=True,
)
