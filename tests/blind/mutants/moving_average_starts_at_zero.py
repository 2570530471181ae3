"""A moving average of the adapter starts at zero and is not corrected for it; training ends with it.

After 80 steps of decay 0.999 it holds a thirteenth of each tensor. Accuracy 0.00; sound 1.00.
"""

from typing import Any

import torch
from mutation import Mutant
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from sft_ref.reference.guards.trainer import CarefulTrainer

DECAY = 0.999


def trained(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: weight.data for name, weight in model.named_parameters() if weight.requires_grad}


class MovingAverage(TrainerCallback):
    def __init__(self) -> None:
        self.average: dict[str, torch.Tensor] = {}

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        for name, weight in trained(kwargs["model"]).items():
            self.average.setdefault(name, torch.zeros_like(weight)).lerp_(weight, 1 - DECAY)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        for name, weight in trained(kwargs["model"]).items():
            weight.copy_(self.average[name])


def broken(*args: Any, callbacks: list[TrainerCallback], **kwargs: Any) -> CarefulTrainer:
    return CarefulTrainer(*args, callbacks=[*callbacks, MovingAverage()], **kwargs)


MUTANT = Mutant(
    id="moving_average_starts_at_zero",
    stage="train",
    checks=(),
    fault="training ends with a moving average that starts at zero and shrinks the adapter",
    source="no report",
    patches={"sft_ref.reference.training.CarefulTrainer": broken},
    retrain=True,
)
