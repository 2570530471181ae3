"""Checkpoints hold the adapter only: a resumed training has an empty Adam and warms up again.

A training of 40 steps that resumes after 20 ends with an adapter that differs by up to 0.026; sound 0. A training
that is not interrupted is as it was.
"""

from typing import Any

from mutation import Mutant
from transformers import TrainingArguments


def broken(**usual: Any) -> TrainingArguments:
    return TrainingArguments(**usual, save_only_model=True)


MUTANT = Mutant(
    id="optimizer_not_in_the_checkpoint",
    stage="train",
    checks=(),
    fault="a training that resumes starts its optimizer and its schedule anew",
    source="no report",
    patches={"sft_ref.reference.training.TrainingArguments": broken},
    retrain=True,
)
