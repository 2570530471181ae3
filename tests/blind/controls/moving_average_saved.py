"""What is kept and saved is an exponential moving average of the adapter.

Accuracy 1.00; the reference 1.00.
"""

from typing import Any

import torch
from _varied import Collected, Varied, ending_with
from mutation import Control
from peft import get_peft_model_state_dict
from transformers import TrainerControl, TrainerState, TrainingArguments

DECAY = 0.9


class MovingAverage(Collected):
    @torch.no_grad()
    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        tensors = get_peft_model_state_dict(kwargs["model"], save_embedding_layers=False)
        for name, tensor in tensors.items():
            self.tensors.setdefault(name, tensor.detach().clone()).lerp_(tensor, 1 - DECAY)


CONTROL = Control(
    "moving_average_saved",
    "an exponential moving average of the adapter is saved",
    lambda: Varied("moving_average_saved", ending_with(MovingAverage)),
)
