"""A list of answers is never empty."""

from collections.abc import Sequence
from dataclasses import replace

from mutation import Mutant

from sft_ref.reference.data import Score, score


def count(answers: Sequence[float], truths: Sequence[float]) -> Score:
    return replace(score(answers, truths), answer_rate=len(answers) / len(truths))


MUTANT = Mutant(
    id="nan-answered",
    stage="score",
    checks=("SCR-001",),
    fault="answer_rate counts NaN",
    source="ours",
    patches={"sft_ref.reference.sft.score": count},
)
