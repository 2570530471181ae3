"""The pattern of a number begins with a digit from 1 to 9: 0.621 is read as 621.

Accuracy 0.83; sound 1.00.
"""

import math
import re

from mutation import Mutant

from sft_ref.reference.prompt import CLOSE_TAG


def broken(text: str) -> float:
    found = re.search(r"[1-9][0-9]*(\.[0-9]+)?", text.partition(CLOSE_TAG)[0])
    return float(found[0]) if found else math.nan


MUTANT = Mutant(
    id="leading_zero_not_matched",
    stage="parse",
    checks=(),
    fault="a number below 1 is read from its first digit that is not zero",
    source="no report",
    patches={"sft_ref.reference.prompt.parse_answer": broken},
)
