"""Training ends after half of the planned optimizer steps."""

from typing import Any

from mutation import Mutant
from transformers import TrainingArguments


def halved(**arguments: Any) -> TrainingArguments:
    return TrainingArguments(**{**arguments, "max_steps": max(1, arguments["max_steps"] // 2)})


MUTANT = Mutant(
    id="half-steps",
    stage="train",
    checks=("TRN-018",),
    fault="steps are counted in micro-batches, and half of the planned ones are taken",
    source="our own; no known report",
    patches={"sft_ref.reference.training.TrainingArguments": halved},
    retrain=True,
)
