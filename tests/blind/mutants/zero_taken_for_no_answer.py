"""``value or nan``: the number 0 counts as missing.

``0.0</answer>`` is NaN; sound 0. Accuracy 0.97; sound 0.97, as no truth of the task is 0.
"""

import math

from mutation import Mutant

from sft_ref.reference.prompt import parse_answer


def broken(text: str) -> float:
    return parse_answer(text) or math.nan


MUTANT = Mutant(
    id="zero_taken_for_no_answer",
    stage="parse",
    checks=(),
    fault="an answer of 0 is parsed as NaN",
    source="no report",
    patches={"sft_ref.reference.prompt.parse_answer": broken},
)
