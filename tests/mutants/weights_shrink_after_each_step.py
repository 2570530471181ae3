"""The adapter shrinks by a tenth after every step."""

from typing import Any

import torch
from mutation import Mutant

from sft_ref.reference.guards.progress import History


class Shrinking(History):
    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        with torch.no_grad():
            for name, tensor in kwargs["model"].named_parameters():
                if "lora_" in name:
                    tensor.mul_(0.9)


MUTANT = Mutant(
    id="shrink",
    stage="train",
    checks=("TRN-025",),
    fault="a decay of a tenth a step is applied by hand, outside the optimizer",
    source="our own; no known report",
    patches={"sft_ref.reference.training.History": Shrinking},
    retrain=True,
)
