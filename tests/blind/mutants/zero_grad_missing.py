"""Gradients are never cleared: each step follows the sum of all before it.

Last loss 0.0019; sound 0.0027. Accuracy 0.98; sound 1.00.
"""

import torch
from mutation import Mutant


def broken(_module: torch.nn.Module, set_to_none: bool = True) -> None:
    """Clears nothing."""


MUTANT = Mutant(
    id="zero_grad_missing",
    stage="train",
    checks=(),
    fault="gradients are not cleared between steps",
    source="no report",
    patches={"torch.nn.Module.zero_grad": broken},
    retrain=True,
)
