"""Each step takes ``next(iter(loader))``, which is the first batch again and again.

Accuracy 0.93, loss 0.002 half way; sound 0.97 and 0.003 at the end. 32 of the 1,000 rows are seen.
"""

from copy import deepcopy
from typing import Any

from mutation import Mutant

from sft_ref.reference.guards.trainer import CarefulTrainer


class Broken(CarefulTrainer):
    first: Any = None

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        drawn = super().get_batch_samples(*args, **kwargs)
        if self.first is None:
            self.first = deepcopy(drawn)
        return deepcopy(self.first)


MUTANT = Mutant(
    id="first_batch_at_every_step",
    stage="train",
    checks=(),
    fault="the data loader begins anew at every step, so that all steps see the same batch",
    source="no report",
    patches={"sft_ref.reference.training.CarefulTrainer": Broken},
    retrain=True,
)
