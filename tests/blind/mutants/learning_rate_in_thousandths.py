"""The learning rate is divided by 1000, as if it were given in thousandths. Accuracy 0.00; sound 1.00."""

from typing import Any

from mutation import Mutant
from transformers import TrainingArguments


def broken(**arguments: Any) -> TrainingArguments:
    return TrainingArguments(**arguments | {"learning_rate": arguments["learning_rate"] / 1000})


MUTANT = Mutant(
    id="learning_rate_in_thousandths",
    stage="train",
    checks=(),
    fault="the learning rate is a thousandth of the one in the settings",
    source="no report",
    patches={"sft_ref.reference.training.TrainingArguments": broken},
    retrain=True,
)
