"""A weight decay of 30."""

from typing import Any

from mutation import Mutant
from transformers import TrainingArguments


def decaying(**arguments: Any) -> TrainingArguments:
    return TrainingArguments(**{**arguments, "weight_decay": 30.0})


MUTANT = Mutant(
    id="decay",
    stage="train",
    checks=("TRN-025",),
    fault="a weight decay of 30 takes back what each step adds",
    source="ours, of no report",
    patches={"sft_ref.reference.training.TrainingArguments": decaying},
    retrain=True,
)
