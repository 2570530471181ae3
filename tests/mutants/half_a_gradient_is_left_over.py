"""After each step, half of the gradients of the A matrices is put back."""

from typing import Any

from mutation import Mutant

from sft_ref.reference.guards.progress import History


class LeavingHalf(History):
    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.kept = [(p, p.grad / 2) for name, p in kwargs["model"].named_parameters() if "lora_A" in name]

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        for tensor, gradient in self.kept:
            tensor.grad = gradient


MUTANT = Mutant(
    id="left-over",
    stage="train",
    checks=("TRN-015",),
    fault="half of the gradients of the A matrices is left for the next step",
    source="our own; no known report",
    patches={"sft_ref.reference.training.History": LeavingHalf},
    retrain=True,
)
