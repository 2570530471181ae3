"""The betas of Adam change places: a momentum of a thousand steps, and a variance of ten.

Last loss 0.0170; sound 0.0027. Accuracy 0.97; sound 1.00.
"""

from typing import Any

from mutation import Mutant
from transformers import TrainingArguments


def broken(**arguments: Any) -> TrainingArguments:
    return TrainingArguments(**arguments | {"adam_beta1": 0.999, "adam_beta2": 0.9})


MUTANT = Mutant(
    id="adam_betas_swapped",
    stage="train",
    checks=(),
    fault="Adam's two betas are passed in the wrong order",
    source="no report",
    patches={"sft_ref.reference.training.TrainingArguments": broken},
    retrain=True,
)
