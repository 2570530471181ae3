"""Adam averages gradients over a thousand steps, and their squares over ten."""

from typing import Any

from mutation import Mutant
from transformers import TrainingArguments


def exchanged(**arguments: Any) -> TrainingArguments:
    return TrainingArguments(**{**arguments, "adam_beta1": 0.999, "adam_beta2": 0.9})


MUTANT = Mutant(
    id="betas",
    stage="train",
    checks=("TRN-028",),
    fault="the two betas of Adam change places",
    source="ours, of no report",
    patches={"sft_ref.reference.training.TrainingArguments": exchanged},
    retrain=True,
)
