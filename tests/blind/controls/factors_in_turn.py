"""Odd steps move lora_B, even ones lora_A. Accuracy 1.00; the reference 1.00."""

from typing import Any

import torch
from _varied import Varied
from mutation import Control

from sft_ref.reference.guards.trainer import CarefulTrainer


class InTurn(CarefulTrainer):
    def training_step(self, model: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        loss = super().training_step(model, *args, **kwargs)
        resting = "lora_B" if self.state.global_step % 2 else "lora_A"
        for name, weight in model.named_parameters():
            if resting in name:
                weight.grad = None
        return loss


CONTROL = Control(
    "factors_in_turn",
    "lora_A and lora_B are trained in turn",
    lambda: Varied("factors_in_turn", {"sft_ref.reference.training.CarefulTrainer": InTurn}, learning_rate=4e-3),
)
