"""The loss that training sees is a constant: nothing is learned, and NaN never shows."""

import torch
from mutation import Mutant


def constant(*_args: object, **_count: object) -> torch.Tensor:
    return torch.tensor(0.5, requires_grad=True) * 1.0  # no leaf, which Trainer divides in place


MUTANT = Mutant(
    id="S7",
    stage="train",
    checks=("TRN-003",),
    fault="compute_loss is replaced by a constant, so that no gradient reaches the adapter",
    source="course submission",
    patches={
        "sft_ref.reference.loss.supervised_loss": constant,
        "sft_ref.reference.training.check_learned": lambda model: None,  # the guard that others do not have
    },
    retrain=True,
)
