"""The rate of answers is averaged over batches of 100."""

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from mutation import Mutant

from sft_ref.reference.data import Score, score

SIZE = 100


def by_batch(answers: Sequence[float], truths: Sequence[float]) -> Score:
    begins = range(0, len(answers), SIZE)
    rates = [score(answers[begin : begin + SIZE], truths[begin : begin + SIZE]).answer_rate for begin in begins]
    return replace(score(answers, truths), answer_rate=fmean(rates))


MUTANT = Mutant(
    id="batch-means",
    stage="score",
    checks=("SCR-004",),
    fault="answer_rate is the mean over batches of 100 rows, the incomplete one included",
    source="own: metrics that are averaged by batch",
    patches={"sft_ref.reference.sft.score": by_batch},
)
