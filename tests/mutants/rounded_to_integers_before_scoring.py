"""Answers and truths are rounded to integers before they are compared."""

import math

from mutation import Mutant

from sft_ref.reference.data import is_answer_valid


def coarse(answer: float, truth: float) -> bool:
    return math.isfinite(answer) and is_answer_valid(float(round(answer)), float(round(truth)))


MUTANT = Mutant(
    id="rounded-scores",
    stage="score",
    checks=("SCR-004",),
    fault="answers are rounded to integers before they are scored",
    source="ours, of no report",
    patches={"sft_ref.reference.data.is_answer_valid": coarse},
)
