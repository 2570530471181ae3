"""The pattern of a number asks for a decimal point, as all targets have one: 42 is no number.

42, -7 and 1e+16 are NaN. Accuracy 0.97; sound 0.97, as the answers of the validation split all have a point.
"""

import math

from mutation import Mutant

from sft_ref.reference.prompt import CLOSE_TAG, OPEN_TAG, parse_answer


def broken(text: str) -> float:
    answer = text.partition(CLOSE_TAG)[0].rpartition(OPEN_TAG)[2]
    return parse_answer(text) if "." in answer else math.nan


MUTANT = Mutant(
    id="number_without_a_point_not_matched",
    stage="parse",
    checks=(),
    fault="an integer is read as no answer",
    source="no report",
    patches={"sft_ref.reference.prompt.parse_answer": broken},
)
