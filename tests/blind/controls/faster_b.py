"""LoRA+: lora_B has eight times the learning rate of lora_A. Accuracy 0.98; the reference 1.00."""

from typing import Any

import torch
from _varied import Varied
from mutation import Control

from sft_ref.reference.guards.trainer import CarefulTrainer


class TwoRates(CarefulTrainer):
    def create_optimizer(self, *_args: Any) -> Any:
        model: Any = self.model
        rate = self.args.learning_rate
        named = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
        slow = [weight for name, weight in named if "lora_B" not in name]
        fast = [weight for name, weight in named if "lora_B" in name]
        groups = [{"params": slow, "lr": rate / 2}, {"params": fast, "lr": rate * 4}]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=0.0)
        return self.optimizer


CONTROL = Control(
    "faster_b",
    "lora_B has eight times the learning rate of lora_A",
    lambda: Varied("faster_b", {"sft_ref.reference.training.CarefulTrainer": TwoRates}, learning_rate=1e-3),
)
