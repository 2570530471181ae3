"""After ten steps, the upper half of the layers no longer requires gradients."""

from typing import Any

from mutation import Mutant

from sft_ref.reference.guards.progress import History


class Freezing(History):
    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        adapter = [tensor for name, tensor in kwargs["model"].named_parameters() if "lora_" in name]
        for tensor in adapter[len(adapter) // 2 :]:
            tensor.requires_grad = state.global_step < 10


MUTANT = Mutant(
    id="frozen",
    stage="train",
    checks=("TRN-016",),
    fault="half of the layers is frozen after ten steps",
    source="our own; no known report",
    patches={"sft_ref.reference.training.History": Freezing},
    retrain=True,
)
