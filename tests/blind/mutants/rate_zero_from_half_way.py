"""The schedule is made for half of the steps: the second half trains with a learning rate of 0.

Last loss 0.0043; sound 0.0027. Accuracy 0.98; sound 1.00.
"""

from typing import Any

from mutation import Mutant

from sft_ref.reference.guards.trainer import CarefulTrainer


class HalfScheduled(CarefulTrainer):
    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        return super().create_scheduler(num_training_steps // 2, optimizer)


MUTANT = Mutant(
    id="rate_zero_from_half_way",
    stage="train",
    checks=(),
    fault="the learning rate is 0 from half of the steps on",
    source="no report",
    patches={"sft_ref.reference.training.CarefulTrainer": HalfScheduled},
    retrain=True,
)
