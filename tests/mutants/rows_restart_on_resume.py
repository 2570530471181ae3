"""A resumed training begins with the first rows again."""

from typing import Any

from mutation import Mutant
from transformers import TrainingArguments


def unskipped(**arguments: Any) -> TrainingArguments:
    return TrainingArguments(**{**arguments, "ignore_data_skip": True})


MUTANT = Mutant(
    id="rows-restart",
    stage="train",
    checks=("TRN-026",),
    fault="the rows that were seen before the interruption are not skipped on resume",
    source="our own; no known report",
    patches={"sft_ref.reference.training.TrainingArguments": unskipped},
)
