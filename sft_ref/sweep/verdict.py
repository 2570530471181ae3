"""Decides the verdict on a cell from its figures: same, drift, or broken at a stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sft_ref.harness.core.paired import compare, is_worse

from .cell import Cell, CellVerdict

if TYPE_CHECKING:
    import torch

LOST = 0.1
"""Share of questions that a stage may lose before it is broken.

Rounding changes a near tie in a few questions in a hundred; a broken stage loses nearly all of them.
"""


def judge(cell: Cell, *, losses: torch.Tensor, due_losses: torch.Tensor, spelled: Sequence[bool]) -> Cell:
    """Returns the cell with its verdict.

    Args:
        cell: cell with all its figures.
        losses: loss of each row's true answer, of the loaded model.
        due_losses: the same losses of the model in memory at the end of training.
        spelled: for each question, whether the completion begins with the true answer.
    """
    if not cell.finite:
        return _broken(cell, "generate", cell.why.removeprefix("generate: ") or "logits are not finite")
    if is_worse(losses, due_losses):
        return _broken(cell, "load", f"the true answer's loss is higher by {compare(losses, due_losses)}")
    assert cell.forced is not None, "measured"  # for mypy
    assert cell.accuracy is not None, "measured"
    share = sum(spelled) / len(spelled)
    if share < cell.forced - LOST:
        lost = f"teacher-forced, {cell.forced:.0%} of the answers are right, but only {share:.0%} as generated"
        return _broken(cell, "generate", lost)
    if cell.accuracy < share - LOST:
        return _broken(
            cell, "parse", f"{share:.0%} of the generated answers are right, but only {cell.accuracy:.0%} as parsed"
        )
    if cell.same_dtypes and not cell.computed and cell.parity == 0:
        return replace(cell, verdict=CellVerdict.SAME, why="")
    return replace(cell, verdict=CellVerdict.DRIFT, why=_how_much(cell))


def _broken(cell: Cell, stage: str, how: str) -> Cell:
    return replace(cell, verdict=CellVerdict.BROKEN, stage=stage, why=f"{stage}: {how}")


def _how_much(cell: Cell) -> str:
    parts = [f"logits by up to {cell.parity:.2g}"]
    if cell.changed_answers is not None:
        parts.append(f"{cell.changed_answers} of {len(cell.answers)} answers")
    if not cell.same_dtypes:
        parts.append("other dtypes than trained")
    elif cell.computed:
        parts.append("computes in other dtypes than trained")
    return ", ".join(parts)
