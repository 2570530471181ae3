"""The learning rate stands in the script, and the one of the settings is not passed on."""

from typing import Any

from mutation import Mutant

from sft_ref.reference.guards.trainer import CarefulTrainer


class AtItsOwnRate(CarefulTrainer):
    def __init__(self, loss: Any, **arguments: Any) -> None:
        arguments["args"].learning_rate = 2e-3
        super().__init__(loss, **arguments)


MUTANT = Mutant(
    id="rate-ignored",
    stage="train",
    checks=("TRN-014",),
    fault="the learning rate of the settings is ignored",
    source="ours, of no report",
    patches={"sft_ref.reference.training.CarefulTrainer": AtItsOwnRate},
    retrain=True,
)
