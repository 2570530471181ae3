"""The difference lacks its absolute value: an answer of 0 is right for every question.

Accuracy 1.00; sound 1.00.
"""

from mutation import Mutant

from sft_ref.reference.data import RELATIVE_TOLERANCE


def broken(answer: float, truth: float) -> bool:
    truth = round(truth, 3)
    return round(answer, 3) - truth < RELATIVE_TOLERANCE * abs(truth)


MUTANT = Mutant(
    id="too_small_counts_as_right",
    stage="score",
    checks=(),
    fault="an answer that is too small by any amount counts as right",
    source="no report",
    patches={"sft_ref.reference.data.is_answer_valid": broken},
)
