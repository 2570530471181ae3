"""Sharpness-aware minimisation: gradients are those of the worst point near by. Accuracy 1.00; the reference 1.00."""

from typing import Any

import torch
from _varied import Varied
from mutation import Control

from sft_ref.reference.guards.trainer import CarefulTrainer

RADIUS = 0.05


class SharpnessAware(CarefulTrainer):
    def training_step(self, model: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        loss = super().training_step(model, *args, **kwargs)
        weights = [weight for weight in model.parameters() if weight.grad is not None]
        length = torch.nn.utils.get_total_norm([weight.grad for weight in weights])
        moves = [weight.grad * RADIUS / (length + 1e-12) for weight in weights]
        for weight, move in zip(weights, moves, strict=True):
            weight.data += move
            weight.grad = None
        super().training_step(model, *args, **kwargs)
        for weight, move in zip(weights, moves, strict=True):
            weight.data -= move
        return loss


CONTROL = Control(
    "sharpness_aware",
    "each step follows the gradient of a point uphill",
    lambda: Varied("sharpness_aware", {"sft_ref.reference.training.CarefulTrainer": SharpnessAware}),
)
