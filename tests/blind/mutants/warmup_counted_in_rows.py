"""The warm-up is counted in rows, not steps, and outlasts the training: the rate only rises, to a third of its peak.

Last loss 0.0095; sound 0.0027. Accuracy 0.98; sound 1.00.
"""

from typing import Any

from mutation import Mutant
from transformers import TrainingArguments


def broken(**arguments: Any) -> TrainingArguments:
    rows = arguments["warmup_steps"] * arguments["per_device_train_batch_size"]
    return TrainingArguments(**arguments | {"warmup_steps": rows})


MUTANT = Mutant(
    id="warmup_counted_in_rows",
    stage="train",
    checks=(),
    fault="the warm-up has as many steps as it should have rows, and never ends",
    source="no report",
    patches={"sft_ref.reference.training.TrainingArguments": broken},
    retrain=True,
)
