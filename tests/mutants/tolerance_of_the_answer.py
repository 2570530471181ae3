"""The difference is divided by the answer in place of the truth."""

from collections.abc import Sequence
from dataclasses import replace

from mutation import Mutant

from sft_ref.reference.data import Score, score


def count(answers: Sequence[float], truths: Sequence[float]) -> Score:
    right = sum(abs(a - t) < 0.05 * abs(a) for a, t in zip(answers, truths, strict=True))
    return replace(score(answers, truths), accuracy=right / len(truths))


MUTANT = Mutant(
    id="tolerance-of-answer",
    stage="score",
    checks=("SCR-001",),
    fault="an answer is right within 5 % of itself",
    source="ours",
    patches={"sft_ref.reference.sft.score": count},
)
