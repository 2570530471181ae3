"""The last layer is trained first, and the others join it one by one. Accuracy 1.00; the reference 1.00."""

import re
from typing import Any

from _varied import Varied
from mutation import Control
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from sft_ref.reference.guards.trainer import CarefulTrainer

LAYERS = 3


class Unfreeze(TrainerCallback):
    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        trained = 1 + state.global_step * 10 // state.max_steps  # one more layer at each tenth of the steps
        for name, weight in kwargs["model"].named_parameters():
            if "lora_" in name:
                layer = int(re.findall(r"\.layers\.(\d+)\.", name)[0])
                weight.requires_grad = layer >= LAYERS - trained


def unfreezing(*args: Any, callbacks: list[TrainerCallback], **kwargs: Any) -> CarefulTrainer:
    return CarefulTrainer(*args, callbacks=[*callbacks, Unfreeze()], **kwargs)


CONTROL = Control(
    "gradual_unfreezing",
    "layers join the training one by one, the last one first",
    lambda: Varied("gradual_unfreezing", {"sft_ref.reference.training.CarefulTrainer": unfreezing}),
)
