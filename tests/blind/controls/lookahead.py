"""Lookahead: after every five steps the weights go back half way to where they were.

Accuracy 1.00; the reference 1.00.
"""

from typing import Any

import torch
from _varied import Varied
from mutation import Control
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from sft_ref.reference.guards.trainer import CarefulTrainer

EVERY = 5


class Lookahead(TrainerCallback):
    def __init__(self) -> None:
        self.slow: dict[str, torch.Tensor] = {}

    @torch.no_grad()
    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.global_step % EVERY:
            return
        for name, weight in kwargs["model"].named_parameters():
            if weight.requires_grad:
                slow = self.slow.setdefault(name, weight.detach().clone())
                weight.copy_(slow.lerp_(weight, 0.5))


def looking_ahead(*args: Any, callbacks: list[TrainerCallback], **kwargs: Any) -> CarefulTrainer:
    return CarefulTrainer(*args, callbacks=[*callbacks, Lookahead()], **kwargs)


CONTROL = Control(
    "lookahead",
    "slow weights follow the fast ones every five steps",
    lambda: Varied("lookahead", {"sft_ref.reference.training.CarefulTrainer": looking_ahead}, learning_rate=3e-3),
)
