"""Rows are drawn with replacement."""

from typing import Any

from mutation import Mutant
from torch.utils.data import RandomSampler

from sft_ref.reference.guards.trainer import CarefulTrainer


class Replacing(CarefulTrainer):
    def _get_train_sampler(self, *_args: Any) -> Any:
        rows: Any = self.train_dataset
        return RandomSampler(rows, replacement=True)


MUTANT = Mutant(
    id="replacement",
    stage="train",
    checks=("TRN-020",),
    fault="rows are drawn with replacement, so that some are seen twice before others are seen",
    source="our own; no known report",
    patches={"sft_ref.reference.training.CarefulTrainer": Replacing},
    retrain=True,
)
