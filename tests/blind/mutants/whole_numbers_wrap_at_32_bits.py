"""Whole numbers are stored as 32-bit integers, so those above 2147483647 wrap around.

``6000000000.0`` is read as 1705032704. Accuracy 0.87; sound 0.97.
"""

import math

from mutation import Mutant

from sft_ref.reference.prompt import parse_answer


def broken(text: str) -> float:
    value = parse_answer(text)
    if math.isnan(value) or not value.is_integer():
        return value
    return float((int(value) + 2**31) % 2**32 - 2**31)


MUTANT = Mutant(
    id="whole_numbers_wrap_at_32_bits",
    stage="parse",
    checks=(),
    fault="whole numbers pass through a 32-bit integer",
    source="no report",
    patches={"sft_ref.reference.prompt.parse_answer": broken},
)
