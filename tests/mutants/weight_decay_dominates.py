"""A weight decay of 60."""

from typing import Any

from mutation import Mutant
from transformers import TrainingArguments


def decaying(**arguments: Any) -> TrainingArguments:
    return TrainingArguments(**{**arguments, "weight_decay": 60.0})


MUTANT = Mutant(
    id="decay",
    stage="train",
    checks=("TRN-025",),
    fault="a weight decay of 60 takes back what each step adds",
    source="our own; no known report",
    patches={"sft_ref.reference.training.TrainingArguments": decaying},
    retrain=True,
)
