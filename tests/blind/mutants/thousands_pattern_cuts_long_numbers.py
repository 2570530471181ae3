"""The pattern of a number expects a comma after every three digits: of 5000.0, written without, it reads 500.

Accuracy 0.53; sound 0.97. 44 of 100 truths are 1000 or more.
"""

import math
import re

from mutation import Mutant

from sft_ref.reference.prompt import CLOSE_TAG, OPEN_TAG, parse_answer

PATTERN = r"[+-]?\d{1,3}(?:,\d{3})*(?:\.\d+)?(?:[eE][+-]?\d+)?"


def broken(text: str) -> float:
    found = re.search(PATTERN, text.partition(CLOSE_TAG)[0].rpartition(OPEN_TAG)[2])
    if found is None or math.isnan(parse_answer(text)):
        return math.nan
    return float(found[0].replace(",", ""))


MUTANT = Mutant(
    id="thousands_pattern_cuts_long_numbers",
    stage="parse",
    checks=(),
    fault="a number of 1000 or more is read up to its third digit",
    source="no report",
    patches={"sft_ref.reference.prompt.parse_answer": broken},
)
