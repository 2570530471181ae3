"""Noise on the gradients that fades away, as an annealing.

Its standard deviation is a tenth of the gradient's own at first, and falls with the square root of the steps.
Accuracy 0.97; the reference 0.97.
"""

from typing import Any

import torch
from _varied import Varied
from mutation import Control

from sft_ref.reference.guards.trainer import CarefulTrainer


class Noisy(CarefulTrainer):
    def create_optimizer(self, *args: Any) -> Any:
        optimizer = super().create_optimizer(*args)
        generator = torch.Generator().manual_seed(0)

        def add_noise(*_args: Any) -> None:
            share = 0.1 / (1 + self.state.global_step) ** 0.5
            for group in optimizer.param_groups:
                for weight in group["params"]:
                    if weight.grad is not None and weight.numel() > 1:
                        noise = torch.randn(weight.shape, generator=generator).to(weight.grad)
                        weight.grad.add_(noise * weight.grad.std() * share)

        optimizer.register_step_pre_hook(add_noise)
        return optimizer


CONTROL = Control(
    "noise_on_the_gradients",
    "trained with noise on the gradients, which fades",
    lambda: Varied("noise_on_the_gradients", {"sft_ref.reference.training.CarefulTrainer": Noisy}),
)
