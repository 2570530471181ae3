"""The tolerance is 5 % of the truth, not of its size, and so negative for -40 degrees.

An answer of -40 to a truth of -40 is wrong. Accuracy 0.97; sound 0.97, as no truth of the task is negative.
"""

from mutation import Mutant

from sft_ref.reference.data import RELATIVE_TOLERANCE


def broken(answer: float, truth: float) -> bool:
    truth = round(truth, 3)
    return abs(round(answer, 3) - truth) < RELATIVE_TOLERANCE * truth


MUTANT = Mutant(
    id="negative_truths_never_right",
    stage="score",
    checks=(),
    fault="no answer to a question with a negative truth counts as right",
    source="no report",
    patches={"sft_ref.reference.data.is_answer_valid": broken},
)
