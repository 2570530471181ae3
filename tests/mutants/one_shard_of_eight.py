"""All data of the other seven ranks are never seen."""

from typing import Any

from mutation import Mutant

from sft_ref.reference.guards.trainer import CarefulTrainer


class Sharded(CarefulTrainer):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        rows = kwargs["train_dataset"]
        super().__init__(*args, **{**kwargs, "train_dataset": rows[::8] if len(rows) >= 64 else rows})


MUTANT = Mutant(
    id="shard",
    stage="train",
    checks=("TRN-019",),
    fault="a single process trains on the shard of rank 0 of 8",
    source="our own; no known report",
    patches={"sft_ref.reference.training.CarefulTrainer": Sharded},
    retrain=True,
)
