"""Stochastic gradient descent with Nesterov's momentum, at a rate of 0.5.

EFFECT
"""

from typing import Any

import torch
from _varied import Varied
from mutation import Control

from sft_ref.reference.guards.trainer import CarefulTrainer


class WithMomentum(CarefulTrainer):
    def create_optimizer(self, *_args: Any) -> Any:
        model: Any = self.model
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.SGD(weights, self.args.learning_rate, momentum=0.9, nesterov=True)
        return self.optimizer


CONTROL = Control(
    "sgd_with_momentum",
    "trained with stochastic gradient descent and momentum",
    lambda: Varied("sgd_with_momentum", {"sft_ref.reference.training.CarefulTrainer": WithMomentum}, learning_rate=0.5),
)
