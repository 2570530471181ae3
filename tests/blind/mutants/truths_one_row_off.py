"""Answers are compared with the truths of the row before. Accuracy 0.00; sound 1.00."""

from collections.abc import Sequence

from mutation import Mutant

from sft_ref.reference.data import Score, score


def broken(answers: Sequence[float], truths: Sequence[float]) -> Score:
    return score(answers, [truths[-1], *truths[:-1]])


MUTANT = Mutant(
    id="truths_one_row_off",
    stage="score",
    checks=(),
    fault="each answer is compared with the truth of the row before it",
    source="no report",
    patches={"sft_ref.reference.sft.score": broken},
)
