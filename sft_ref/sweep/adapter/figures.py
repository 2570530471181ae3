"""The figures of one way to load, compared with the first way. Does not need torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sft_ref.io.strict_json import strict
from sft_ref.sweep.cell import CellVerdict


@dataclass(frozen=True)
class ChangedAnswer:
    """A question whose generated tokens differ.

    Attributes:
        row: number of the question among those asked, from 1.
        question: text of the question.
        token: position of the first differing token in the answer, from 1.
        before, after: the full answers of the first way and of this one.
        was_right, is_right: whether each of these answers is right.
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
        load: name of the way to load.
        verdict: verdict against the first way; see `CellVerdict`.
        why: size of the change, the fault, or the reason for not running.
        dtypes: dtypes of base and adapter as loaded.
        finite: whether all logits are finite.
        parity: largest difference of a logit from the first way.
        rounding: how much rounding in these dtypes can change a logit (`tolerance.logits`).
        divergence: mean Kullback-Leibler divergence from the first way, in nat per token.
        top1: share of positions whose most likely token is the same, or was a near tie.
        loss: loss of the true answers, in nat per token.
        right: share of generated answers that are right.
        rows: number of questions asked.
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
        """Returns the figures as strict JSON: no NaN, no infinity."""
        found: dict[str, Any] = strict(asdict(self))
        return found
