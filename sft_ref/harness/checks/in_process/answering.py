"""Checks of the stage generate: whether what answers is the model that was loaded.

The other checks of generation compare answers with answers. These compare them with forwards of the loaded model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from sft_ref.harness.core import margins, tolerance
from sft_ref.harness.core.check import check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.evidence.in_process.answer_parts import GeneratedRows
from sft_ref.harness.evidence.in_process.trained_parts import ModelChange


@check(
    "GEN-014",
    "The logits at every generated token are those of one forward of the loaded model without a cache",
    why="While answering, the adapter may be off, positions may be wrong, or part of the text may be out of sight."
    " Answers are then another model's.",
    remedy="Answer with the loaded model as it is: adapter on, a cache that keeps every token, one position a token.",
    depends_on=("GEN-001", "GEN-002"),
)
def logits_are_those_of_one_forward(generated_rows: GeneratedRows) -> None:
    """GEN-014: for each row of a batch of unlike lengths."""
    allowed = tolerance.rounding(generated_rows.dtype)
    if not generated_rows.rows:
        raise Unavailable("no forward of `model` that begins a prompt was recorded")
    apart = [tolerance.apart(row.observed, row.expected, row.spread) for row in generated_rows.rows]
    worst, row = max(zip(apart, generated_rows.rows, strict=True), key=lambda each: (math.isnan(each[0]), each[0]))
    if margins.exceeds(worst, allowed):
        wrong = ~(tolerance.apart_by_row(row.observed, row.expected, row.spread) <= allowed)
        first = row.steps[int(wrong.int().argmax())]
        observed = f"logits differ by {worst:.1e} of their spread, from new token {first} on"
        raise Failure(observed, f"at most {allowed:.1e}", row.prompt)


@check(
    "GEN-015",
    "Answering leaves the model as it was: values, dtypes, mode and adapters",
    why="A model that changes while it answers gives the next question another model's answer.",
    remedy="Cast, merge and switch adapters before answering, or undo it exactly afterwards.",
    depends_on=("GEN-016",),
)
def answering_changes_nothing(changes_by_answering: Sequence[ModelChange]) -> None:
    """GEN-015: of a model that is loaded for this."""
    for change in changes_by_answering:
        raise Failure(
            f"after answering, {change.observed}", f"{change.expected}, as before", change.name, survivable=True
        )
