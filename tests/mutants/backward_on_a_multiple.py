"""Backward runs on eight times the loss that is reported."""

from typing import Any

from mutation import Mutant

from sft_ref.reference.guards.trainer import CarefulTrainer


class Multiplying(CarefulTrainer):
    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        return 8 * super().compute_loss(*args, **kwargs)

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        return super().training_step(*args, **kwargs) / 8


MUTANT = Mutant(
    id="multiple",
    stage="train",
    checks=("TRN-024",),
    fault="backward runs on eight times the reported loss, as with a factor of accumulation too many",
    source="our own; no known report",
    patches={"sft_ref.reference.training.CarefulTrainer": Multiplying},
    retrain=True,
)
