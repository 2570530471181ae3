"""The learning rate falls by a quarter with every layer on the way down. Accuracy 0.96; the reference 0.97."""

import re
from typing import Any

import torch
from _varied import Varied
from mutation import Control

from sft_ref.reference.guards.trainer import CarefulTrainer


class RatesByLayer(CarefulTrainer):
    def create_optimizer(self, *_args: Any) -> Any:
        model: Any = self.model
        last = model.config.num_hidden_layers - 1
        groups: list[dict[str, Any]] = []
        for name, weight in model.named_parameters():
            if weight.requires_grad:
                layer = int(re.findall(r"\.layers\.(\d+)\.", name)[0])
                groups.append({"params": [weight], "lr": self.args.learning_rate * 0.75 ** (last - layer)})
        self.optimizer = torch.optim.AdamW(groups, weight_decay=0.0)
        return self.optimizer


CONTROL = Control(
    "rates_by_layer",
    "lower layers have lower learning rates",
    lambda: Varied("rates_by_layer", {"sft_ref.reference.training.CarefulTrainer": RatesByLayer}),
)
