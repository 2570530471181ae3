"""The gradients of all steps add up: nothing zeroes them."""

from typing import Any

from mutation import Mutant

from sft_ref.reference.guards.trainer import CarefulTrainer


class Accumulating(CarefulTrainer):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        model: Any = self.model
        model.zero_grad = lambda *_args, **_kwargs: None


MUTANT = Mutant(
    id="zero-grad",
    stage="train",
    checks=("TRN-015",),
    fault="zero_grad is missing, so that each step repeats the gradients of all earlier ones",
    source="pytorch/examples#116",
    patches={"sft_ref.reference.training.CarefulTrainer": Accumulating},
    retrain=True,
)
