"""`if answer` where `if not math.isnan(answer)` was meant."""

import math
from collections.abc import Sequence
from dataclasses import replace

from mutation import Mutant

from sft_ref.reference.data import Score, score


def count(answers: Sequence[float], truths: Sequence[float]) -> Score:
    given = sum(bool(answer) and not math.isnan(answer) for answer in answers)
    return replace(score(answers, truths), answer_rate=given / len(truths))


MUTANT = Mutant(
    id="zero-unanswered",
    stage="score",
    checks=("SCR-004",),
    fault="an answer of 0 does not count as an answer",
    source="own: the truth of a number",
    patches={"sft_ref.reference.sft.score": count},
)
