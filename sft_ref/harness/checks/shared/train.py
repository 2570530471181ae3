"""Shared checks of the stage train."""

from __future__ import annotations

from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.evidence.views import BaseWeights


@check(
    "TRN-005",
    "Every parameter that training changes is saved",
    why="A weight that is trained and not saved is lost, and the adapter no longer fits the base that is loaded.",
    remedy="Freeze the base, or save the other trained weights as well (modules_to_save).",
    source="A5; unsloth#9331",
    depends_on=("TRN-101",),
    aliases=("TRN-104",),
)
def nothing_trained_is_lost(base_weights: BaseWeights) -> None:
    """TRN-005: Compares the base's parameters in memory that training changed with the names of the saved tensors."""
    if base_weights.changed is None:
        raise Unavailable("the tensors of the base that training changes are unknown: give TrainingResult.changed")
    lost = [name for name in base_weights.changed if not any(name in each for each in base_weights.saved)]
    if lost and not base_weights.is_restored:
        raise Failure(f"{len(lost)} tensors of the base changed and are not saved", "none", lost[0], survivable=True)


@check(
    "TRN-009",
    "Training changes no parameter outside the adapter",
    level=Level.CONTRACT,
    why="A second adapter on the same base, or a merge into it, starts from weights that are no longer the base's.",
    remedy="Freeze every parameter of the base, including norms and biases.",
    depends_on=("TRN-005",),
    aliases=("TRN-105",),
)
def base_stays_as_it_was(base_weights: BaseWeights) -> None:
    """TRN-009: Examines the base's parameters in memory, whether they are saved or not."""
    if changed := base_weights.changed:
        raise Failure(f"{len(changed)} tensors of the base changed", "none", changed[0])
