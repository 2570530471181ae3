"""A quarter of the rows is in the data twice."""

from typing import Any

from mutation import Mutant

from sft_ref.reference.guards.trainer import CarefulTrainer


class Twice(CarefulTrainer):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        rows = kwargs["train_dataset"]
        super().__init__(*args, **{**kwargs, "train_dataset": [*rows, *rows[: len(rows) // 4]]})


MUTANT = Mutant(
    id="twice",
    stage="train",
    checks=("TRN-020",),
    fault="a quarter of the rows is concatenated twice",
    source="our own; no known report",
    patches={"sft_ref.reference.training.CarefulTrainer": Twice},
    retrain=True,
)
