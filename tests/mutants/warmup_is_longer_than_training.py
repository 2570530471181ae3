"""A warm-up of 500 steps, for a training of fewer."""

from typing import Any

from mutation import Mutant
from transformers import TrainingArguments


def warmed(**arguments: Any) -> TrainingArguments:
    return TrainingArguments(**{**arguments, "lr_scheduler_type": "constant_with_warmup", "warmup_steps": 500})


MUTANT = Mutant(
    id="warmup",
    stage="train",
    checks=("TRN-012", "TRN-027"),
    fault="the warm-up is longer than the training",
    source="ours, of no report",
    patches={"sft_ref.reference.training.TrainingArguments": warmed},
    retrain=True,
)
