"""The relative error divides by at least 1: for a truth of 0.04 an answer of 0 is right.

Accuracy 1.00; sound 1.00.
"""

from mutation import Mutant

from sft_ref.reference.data import RELATIVE_TOLERANCE


def broken(answer: float, truth: float) -> bool:
    truth = round(truth, 3)
    return abs(round(answer, 3) - truth) / max(1.0, abs(truth)) < RELATIVE_TOLERANCE


MUTANT = Mutant(
    id="error_of_small_truths_absolute",
    stage="score",
    checks=(),
    fault="truths below 1 have an absolute tolerance of 0.05",
    source="no report",
    patches={"sft_ref.reference.data.is_answer_valid": broken},
)
