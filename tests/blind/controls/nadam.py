"""NAdam, which is Adam with Nesterov's momentum.

Accuracy 0.96; the reference 0.97.
"""

from typing import Any

import torch
from _varied import Varied
from mutation import Control

from sft_ref.reference.guards.trainer import CarefulTrainer


class WithNAdam(CarefulTrainer):
    def create_optimizer(self, *_args: Any) -> Any:
        model: Any = self.model
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.NAdam(weights, self.args.learning_rate)
        return self.optimizer


CONTROL = Control(
    "nadam",
    "trained with NAdam",
    lambda: Varied("nadam", {"sft_ref.reference.training.CarefulTrainer": WithNAdam}),
)
