"""What one way to load gives, compared with the first. Needs no torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sft_ref.io.strict_json import strict
from sft_ref.sweep.cell import CellVerdict


@dataclass(frozen=True)
class ChangedAnswer:
    """A question whose generated tokens differ.

    Attributes:
        row: its number among those that are asked, from 1.
        question: as it is asked.
        token: place of the first differing token in the answer, from 1.
        before, after: the answers, whole.
        was_right, is_right: whether each is the true one.
    """

    row: int
    question: str
    token: int
    before: str
    after: str
    was_right: bool
    is_right: bool


@dataclass(frozen=True)
class WayFigures:
    """Figures of one way to load; None is a number that is not finite, or was not measured.

    Attributes:
        load: its name.
        verdict: against the first way; see `CellVerdict`.
        why: how much changed, what is broken, or why it was not run.
        dtypes: of base and adapter as loaded.
        finite: whether all logits are.
        parity: largest difference of a logit.
        rounding: how much rounding in these dtypes may move a logit (`tolerance.logits`).
        divergence: mean Kullback-Leibler divergence from the first way, in nat a token.
        top1: share of positions whose most likely token is the same, or was a near tie.
        loss: of the true answers, in nat a token.
        right: share of generated answers that are the true ones.
        rows: how many were asked.
        changed: the answers that differ.
    """

    load: str
    verdict: CellVerdict
    why: str = ""
    dtypes: str = ""
    finite: bool | None = None
    parity: float | None = None
    rounding: float | None = None
    divergence: float | None = None
    top1: float | None = None
    loss: float | None = None
    right: float | None = None
    rows: int = 0
    changed: tuple[ChangedAnswer, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The figures as strict JSON: no NaN, no infinity."""
        found: dict[str, Any] = strict(asdict(self))
        return found
