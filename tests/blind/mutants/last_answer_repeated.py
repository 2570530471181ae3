"""Where parsing fails, the last answer that was parsed is given again, as a forward fill does.

Accuracy 1.00; sound 1.00.
"""

import math

from mutation import Mutant

from sft_ref.reference.prompt import parse_answer

LAST = [math.nan]


def broken(text: str) -> float:
    value = parse_answer(text)
    if not math.isnan(value):
        LAST[0] = value
    return LAST[0]


MUTANT = Mutant(
    id="last_answer_repeated",
    stage="parse",
    checks=(),
    fault="a text without an answer gets the answer before it in place of NaN",
    source="course submission, akin",
    patches={"sft_ref.reference.prompt.parse_answer": broken},
)
