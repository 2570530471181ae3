"""Muon: the momentum of each matrix is orthogonalised. Accuracy 1.00; the reference 1.00."""

import math
from collections.abc import Callable
from typing import Any

import torch
from _varied import Varied
from mutation import Control

from sft_ref.reference.guards.trainer import CarefulTrainer


class Muon(torch.optim.Optimizer):
    def __init__(self, weights: Any, lr: float) -> None:
        super().__init__(weights, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for weight in group["params"]:
                momentum = self.state[weight].setdefault("momentum", torch.zeros_like(weight))
                momentum.mul_(0.9).add_(weight.grad)
                weight.sub_(group["lr"] * orthogonal(weight.grad + 0.9 * momentum))


def orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """The nearest matrix with equal singular values, whose entries have a mean square of 0.04."""
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    nearest: torch.Tensor = left @ right
    return 0.2 * math.sqrt(max(matrix.shape)) * nearest


class WithMuon(CarefulTrainer):
    def create_optimizer(self, *_args: Any) -> Any:
        model: Any = self.model
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        self.optimizer = Muon(weights, self.args.learning_rate)
        return self.optimizer


CONTROL = Control(
    "muon",
    "trained with Muon",
    lambda: Varied("muon", {"sft_ref.reference.training.CarefulTrainer": WithMuon}, learning_rate=5e-3),
)
