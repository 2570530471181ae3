"""A linear schedule is planned for half of the steps and not held at 0: from there on it climbs the loss.

Loss 0.014 half way and 28.6 at the end; sound 0.0027. Accuracy 0.00; sound 0.97.
"""

from typing import Any

import torch
from mutation import Mutant

from sft_ref.reference.guards.trainer import CarefulTrainer


class Undershooting(CarefulTrainer):
    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        warmup, planned = num_training_steps // 10, num_training_steps // 2

        def factor(step: int) -> float:
            return (step + 1) / (warmup + 1) if step < warmup else (planned - step) / (planned - warmup)

        self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer or self.optimizer, factor)  # type: ignore[arg-type]
        return self.lr_scheduler


MUTANT = Mutant(
    id="rate_goes_below_zero",
    stage="train",
    checks=(),
    fault="the learning rate decays past 0 and is negative in the second half of the steps",
    source="no report",
    patches={"sft_ref.reference.training.CarefulTrainer": Undershooting},
    retrain=True,
)
