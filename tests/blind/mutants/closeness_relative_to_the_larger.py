"""An answer is compared by ``math.isclose``, whose tolerance is relative to the larger of both, not to the truth.

For a truth of 100, 95, 105 and 105.2 are right too; 0 is right for a truth of 0. Accuracy 0.97; sound 0.97.
"""

import math

from mutation import Mutant

TOLERANCE = 0.05


def broken(answer: float, truth: float) -> bool:
    return math.isclose(round(answer, 3), round(truth, 3), rel_tol=TOLERANCE)


MUTANT = Mutant(
    id="closeness_relative_to_the_larger",
    stage="score",
    checks=(),
    fault="answers up to 5.26 % too large count as right, and 5 % itself on either side",
    source="no report",
    patches={"sft_ref.reference.data.is_answer_valid": broken},
)
