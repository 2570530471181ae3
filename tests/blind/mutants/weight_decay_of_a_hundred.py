"""A weight decay of 100: each step takes a fifth of the adapter away.

Last loss 1.9072; sound 0.0027. Accuracy 0.00; sound 1.00.
"""

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
