"""A schedule of unfreezing runs the wrong way: after 10 steps only the first layer goes on learning.

Last loss 0.0039; sound 0.0027. Accuracy 1.00; sound 1.00.
"""

from typing import Any

from mutation import Mutant
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from sft_ref.reference.guards.trainer import CarefulTrainer


class FreezeLayers(TrainerCallback):
    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.global_step == 10:
            for name, weight in kwargs["model"].named_parameters():
                if "lora_" in name and ".layers.0." not in name:
                    weight.requires_grad = False
                    weight.grad = None


def broken(*args: Any, callbacks: list[TrainerCallback], **kwargs: Any) -> CarefulTrainer:
    return CarefulTrainer(*args, callbacks=[*callbacks, FreezeLayers()], **kwargs)


MUTANT = Mutant(
    id="layers_frozen_after_ten_steps",
    stage="train",
    checks=(),
    fault="all layers but the first are frozen after 10 steps",
    source="no report",
    patches={"sft_ref.reference.training.CarefulTrainer": broken},
    retrain=True,
)
