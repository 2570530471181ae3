"""NaN is filtered out before the mean is taken."""

from collections.abc import Sequence
from dataclasses import replace

from mutation import Mutant

from sft_ref.reference.data import Score, score


def count(answers: Sequence[float], truths: Sequence[float]) -> Score:
    found = score(answers, truths)
    return replace(found, accuracy=found.accuracy / (found.answer_rate or 1.0))


MUTANT = Mutant(
    id="answered-only",
    stage="score",
    checks=("SCR-001",),
    fault="accuracy is the share of those answered, not of those asked",
    source="ours",
    patches={"sft_ref.reference.sft.score": count},
)
