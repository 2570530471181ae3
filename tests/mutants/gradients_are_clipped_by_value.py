"""Each entry of a gradient is clipped to a millionth."""

from typing import Any

import torch
from mutation import Mutant

from sft_ref.reference.guards.progress import History


class ByValue(History):
    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        torch.nn.utils.clip_grad_value_(kwargs["model"].parameters(), 1e-6)


MUTANT = Mutant(
    id="by-value",
    stage="train",
    checks=("TRN-025",),
    fault="each entry of a gradient is clipped to a millionth",
    source="our own; no known report",
    patches={"sft_ref.reference.training.History": ByValue},
    retrain=True,
)
