"""A weight decay of 100: each step takes a fifth of the adapter away. ACC."""

from typing import Any

from mutation import Mutant
from transformers import TrainingArguments


def broken(**arguments: Any) -> TrainingArguments:
    return TrainingArguments(**arguments | {"weight_decay": 100.0})


MUTANT = Mutant(
    id="weight_decay_dominates",
    stage="train",
    checks=(),
    fault="weight decay takes away more than a step learns",
    source="no report",
    patches={"sft_ref.reference.training.TrainingArguments": broken},
    retrain=True,
)
