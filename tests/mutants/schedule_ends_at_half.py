"""The schedule is made for half of the steps."""

from typing import Any

from mutation import Mutant

from sft_ref.reference.guards.trainer import CarefulTrainer


class Early(CarefulTrainer):
    def create_scheduler(self, num_training_steps: int, *args: Any, **kwargs: Any) -> Any:
        return super().create_scheduler(num_training_steps // 2, *args, **kwargs)


MUTANT = Mutant(
    id="rate-0",
    stage="train",
    checks=("TRN-018",),
    fault="the learning rate is 0 in the second half of training",
    source="our own; no known report",
    patches={"sft_ref.reference.training.CarefulTrainer": Early},
    retrain=True,
)
