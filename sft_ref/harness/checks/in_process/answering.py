"""Checks of the stage generate: whether answers come from the loaded model, unchanged.

The other checks of generation compare answers with each other. These compare them with forward passes of the model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from sft_ref.harness.core import margins, tolerance
from sft_ref.harness.core.check import check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.evidence.in_process.answer_parts import GeneratedRows
from sft_ref.harness.evidence.in_process.trained_parts import ModelChange

_AGREEING = 0.8
"""Fraction of a row's tokens at which logits must agree. Rounding alone may change a single one: in bf16, an adapter
with a large alpha was off by 1.06 of the spread at one token of 21, and by 0.007 at the median token. The last fifth of
a row is enough to reveal a cache that overflows."""


@check(
    "GEN-014",
    "The logits at every generated token are those of one forward of the loaded model without a cache",
    why="While answering, the adapter may be off, positions may be wrong, or part of the text may be hidden."
    " The answers are then those of a different model.",
    remedy="Answer with the loaded model as it is: adapter on, a cache that keeps every token, one position per token.",
    depends_on=("GEN-001", "GEN-002"),
)
def logits_are_those_of_one_forward(generated_rows: GeneratedRows) -> None:
    """GEN-014: Compares each row of a batch of unequal lengths, and judges the worst one."""
    allowed = tolerance.rounding(generated_rows.dtype)
    if not generated_rows.rows:
        raise Unavailable("no forward of `model` that begins a prompt was recorded")
    apart = [tolerance.apart_by_row(row.observed, row.expected, row.spread) for row in generated_rows.rows]
    limits = {_AGREEING: allowed}
    if generated_rows.dtype is torch.float32:
        limits[1.0] = tolerance.ANY_TOKEN
    for agreeing, limit in limits.items():
        shares = [float(steps.quantile(agreeing)) for steps in apart]
        worst = max(range(len(shares)), key=lambda n: (math.isnan(shares[n]), shares[n]))
        if margins.exceeds(shares[worst], limit):
            row, wrong = generated_rows.rows[worst], ~(apart[worst] <= limit)
            first = row.steps[int(wrong.int().argmax())]
            where = f"at {int(wrong.sum())} of {len(wrong)} new tokens, first at token {first}"
            seen = f"{where}, logits differ by up to {float(apart[worst].max()):.1e} of their spread"
            raise Failure(seen, f"at most {limit:.1e}", row.prompt)


@check(
    "GEN-015",
    "Answering leaves the model as it was: values, dtypes, mode and adapters",
    why="A model that changes while it answers gives the next question another model's answer.",
    remedy="Cast, merge and switch adapters before answering, or undo it exactly afterwards.",
    depends_on=("GEN-016",),
)
def answering_changes_nothing(changes_by_answering: Sequence[ModelChange]) -> None:
    """GEN-015: Compares a model that is loaded for this check, before and after answering."""
    for change in changes_by_answering:
        raise Failure(
            f"after answering, {change.observed}", f"{change.expected}, as before", change.name, survivable=True
        )
