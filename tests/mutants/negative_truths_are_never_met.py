"""The bounds are 0.95 and 1.05 times the truth, which change places if it is negative."""

from collections.abc import Sequence
from dataclasses import replace

from mutation import Mutant

from sft_ref.reference.data import Score, score


def between(answers: Sequence[float], truths: Sequence[float]) -> Score:
    right = sum(0.95 * truth < answer < 1.05 * truth for answer, truth in zip(answers, truths, strict=True))
    return replace(score(answers, truths), accuracy=right / len(truths))


MUTANT = Mutant(
    id="negative-bounds",
    stage="score",
    checks=("SCR-004",),
    fault="no answer to a question with a negative truth counts as right",
    source="ours",
    patches={"sft_ref.reference.sft.score": between},
)
