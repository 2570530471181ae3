"""Accuracy is taken over the questions that got a number; the others are left out of the count.

One NaN beside one right answer scores 1.0; sound 0.5. Accuracy 1.00; sound 1.00.
"""

import math
from collections.abc import Sequence

from mutation import Mutant

from sft_ref.reference.data import Score, score


def broken(answers: Sequence[float], truths: Sequence[float]) -> Score:
    given = [(answer, truth) for answer, truth in zip(answers, truths, strict=True) if not math.isnan(answer)]
    if not given:
        return score(answers, truths)
    counted = score([answer for answer, _ in given], [truth for _, truth in given])
    return Score(counted.accuracy, len(given) / len(truths), len(truths))


MUTANT = Mutant(
    id="unanswered_left_out",
    stage="score",
    checks=(),
    fault="accuracy leaves out questions without an answer",
    source="no report",
    patches={"sft_ref.reference.sft.score": broken},
)
