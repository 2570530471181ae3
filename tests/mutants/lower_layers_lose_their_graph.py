"""After ten steps, the lower half of the layers runs without gradients."""

from typing import Any

import torch
from mutation import Mutant

from sft_ref.reference.guards.progress import History


class Saving(History):
    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        layers = kwargs["model"].get_base_model().model.layers
        for layer in layers[: len(layers) // 2]:
            if state.global_step == 10:
                layer.forward = torch.no_grad()(layer.forward)


MUTANT = Mutant(
    id="no-graph",
    stage="train",
    checks=("TRN-017",),
    fault="the lower half of the layers runs under no_grad after ten steps, to save memory",
    source="our own; no known report",
    patches={"sft_ref.reference.training.History": Saving},
    retrain=True,
)
