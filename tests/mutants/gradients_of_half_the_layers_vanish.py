"""After ten steps, hooks replace the gradients of half the layers by zero."""

from typing import Any

from mutation import Mutant

from sft_ref.reference.guards.progress import History


class Vanishing(History):
    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        super().on_train_begin(args, state, control, **kwargs)
        adapter = [tensor for name, tensor in kwargs["model"].named_parameters() if "lora_" in name]
        for tensor in adapter[len(adapter) // 2 :]:
            tensor.register_hook(lambda gradient: gradient * 0 if state.global_step >= 10 else None)


MUTANT = Mutant(
    id="no-gradient",
    stage="train",
    checks=("TRN-017",),
    fault="the gradients of half of the layers are zero after ten steps",
    source="our own; no known report",
    patches={"sft_ref.reference.training.History": Vanishing},
    retrain=True,
)
