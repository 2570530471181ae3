"""Checks of the stage base identity: whether the base is the one that the adapter was trained on."""

from __future__ import annotations

from sft_ref.harness.core.check import check
from sft_ref.harness.core.findings import Unavailable
from sft_ref.harness.core.paired import compare, has_fallen
from sft_ref.harness.evidence.adapter import AdapterEvidence
from sft_ref.harness.evidence.answers import SHOWN, AnswersEvidence

from .rows import ENOUGH_ROWS, require_rows

ALIGNED = 2.0
"""Ratio from which an adapter counts as aligned with its base: its change of the base's predictions, divided by the
change that the adapter makes with shuffled coordinates.

Measured on rows that the adapter was trained for: 10 or more on its own base; 3 on a related base whose weights differ
by half their size; 0.5 to 1.6 on eight bases that encode the same knowledge at other coordinates. With rows or a prompt
that it was not trained for, a sound adapter on its own base reaches 0.9 to 6, so a low ratio is no evidence of a wrong
base.
"""


@check(
    "BAS-201",
    "The adapter has its trained effect on this base",
    why="An adapter is a change to one set of weights. On another base of the same shape it loads, and has no useful"
    " effect.",
    remedy="Load it on the base it was trained on, in the same revision.",
    core=True,
)
def adapter_fits_the_base(evidence: AdapterEvidence) -> None:
    """BAS-201: Passes or is skipped, never fails: rows alone cannot tell a wrong base from rows of another kind."""
    found = require_rows(evidence)
    best = found.best
    base = found.base_losses[best.wording]
    gain = compare(base, best.losses)
    helps = has_fallen(gain)
    costs = f"the loss of true answers is {best.loss:.2f} nat a token with it and {base.mean().item():.2f} without"
    if sum(best.right) >= SHOWN * len(best.right):
        if not helps:
            raise Unavailable(f"{best.count} answers are right, but {costs}: the base alone may give these answers")
        if found.rows < ENOUGH_ROWS:
            raise Unavailable(
                f"{best.count} answers are right; at least {ENOUGH_ROWS} rows are needed to rule out chance"
            )
        return
    raise Unavailable(_why_base_is_open(found, costs, helps=helps))


def _why_base_is_open(found: AnswersEvidence, costs: str, *, helps: bool) -> str:
    best = found.best
    if helps:
        return (
            f"{best.count} answers are right and {costs}: an adapter that is trained too little cannot be distinguished"
            " from one that was trained on another version of this base"
        )
    if any(each.ratio >= ALIGNED for each in found.alignments):
        return (
            f"{best.count} answers are right and {costs}; it fits the coordinates of this base or of a version"
            " of it: the remaining explanations are different texts or prompts, another version, or bad training"
        )
    return (
        f"{best.count} answers are right and {costs}, and it moves predictions hardly more than the same adapter with"
        " shuffled coordinates: it was trained on another base, or on different texts"
    )
