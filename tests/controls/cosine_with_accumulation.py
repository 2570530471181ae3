"""The reference with a cosine schedule, accumulated gradients, some weight decay and a lower limit of the gradient."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from mutation import Control
from transformers import TrainingArguments

from sft_ref.harness.core.implementation import TrainingResult
from sft_ref.harness.recorders.in_process.reference import Reference
from sft_ref.reference import training
from sft_ref.reference.data import Row
from sft_ref.reference.settings import Settings


def usual(**arguments: Any) -> TrainingArguments:  # noqa: ANN401
    arguments["per_device_train_batch_size"] //= 2
    more = {"gradient_accumulation_steps": 2, "weight_decay": 0.1, "max_grad_norm": 0.3}
    return TrainingArguments(**{**arguments, "lr_scheduler_type": "cosine", **more})


class Usual(Reference):
    def train(self, folder: Path, rows: Sequence[Row], settings: Settings) -> TrainingResult:
        with mock.patch.object(training, "TrainingArguments", usual):
            return super().train(folder, rows, settings)


CONTROL = Control(
    "cosine_with_accumulation",
    "the reference with a cosine schedule, two micro-batches a step, a weight decay of 0.1 and gradients up to 0.3",
    lambda: Usual(name="cosine_with_accumulation"),
)
