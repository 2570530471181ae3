"""Lion: the sign of a momentum in place of Adam's step, with a weight decay.

Accuracy 0.61 at a rate of 4e-4, where it learns too slowly; 1.00 at this one; the reference 1.00.
"""

from collections.abc import Callable
from typing import Any

import torch
from _varied import Varied
from mutation import Control

from sft_ref.reference.guards.trainer import CarefulTrainer


class Lion(torch.optim.Optimizer):
    def __init__(self, weights: Any, lr: float) -> None:
        super().__init__(weights, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for weight in group["params"]:
                momentum = self.state[weight].setdefault("momentum", torch.zeros_like(weight))
                weight.mul_(1 - group["lr"] * 0.01)
                weight.sub_(group["lr"] * torch.lerp(weight.grad, momentum, 0.9).sign())
                momentum.lerp_(weight.grad, 0.01)


class WithLion(CarefulTrainer):
    def create_optimizer(self, *_args: Any) -> Any:
        model: Any = self.model
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        self.optimizer = Lion(weights, self.args.learning_rate)
        return self.optimizer


CONTROL = Control(
    "lion",
    "trained with Lion, at half the rate",
    lambda: Varied("lion", {"sft_ref.reference.training.CarefulTrainer": WithLion}, learning_rate=1e-3),
)
