"""`0.5` where `0.05` was meant."""

from collections.abc import Sequence
from dataclasses import replace

from mutation import Mutant

from sft_ref.reference.data import Score, score


def count(answers: Sequence[float], truths: Sequence[float]) -> Score:
    right = sum(abs(a - t) < 0.5 * abs(t) for a, t in zip(answers, truths, strict=True))
    return replace(score(answers, truths), accuracy=right / len(truths))


MUTANT = Mutant(
    id="tolerance",
    stage="score",
    checks=("SCR-001",),
    fault="answers within 50 % count as right",
    source="ours",
    patches={"sft_ref.reference.sft.score": count},
)
