"""Gradients are clipped to a norm of 1e-8, which is Adam's epsilon: steps hardly move. Accuracy 0.00; sound 1.00."""

from typing import Any

from mutation import Mutant
from transformers import TrainingArguments


def broken(**arguments: Any) -> TrainingArguments:
    return TrainingArguments(**arguments | {"max_grad_norm": 1e-8})


MUTANT = Mutant(
    id="clipping_dominates",
    stage="train",
    checks=(),
    fault="gradients are clipped so far that Adam's epsilon outweighs them",
    source="no report",
    patches={"sft_ref.reference.training.TrainingArguments": broken},
    retrain=True,
)
