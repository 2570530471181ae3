"""The reported shares are means over chunks of 256 questions, of which the last is smaller.

256 right answers and a wrong one: accuracy 0.50; sound 0.996. Up to 256 questions, and multiples, are as they were.
"""

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from mutation import Mutant

from sft_ref.reference.data import Score, score

CHUNK = 256


def broken(answers: Sequence[float | str], truths: Sequence[float | str]) -> Score:
    whole = score(answers, truths)
    starts = range(0, len(truths), CHUNK)
    chunks = [score(answers[start : start + CHUNK], truths[start : start + CHUNK]) for start in starts]
    accuracy, answer_rate = fmean(each.accuracy for each in chunks), fmean(each.answer_rate for each in chunks)
    return replace(whole, accuracy=accuracy, answer_rate=answer_rate)


MUTANT = Mutant(
    id="mean_of_the_chunks_means",
    stage="score",
    checks=(),
    fault="the few questions of a last chunk weigh as much as 256 others",
    source="no report",
    patches={"sft_ref.reference.sft.score": broken},
)
