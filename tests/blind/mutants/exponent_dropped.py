"""The pattern of a number ends before its exponent.

``1e+16`` is 1, and ``2.5E-4`` 2.5. Accuracy 0.97; sound 0.97, as no truth of the task has an exponent.
"""

import re

from mutation import Mutant

from sft_ref.reference.prompt import parse_answer


def broken(text: str) -> float:
    return parse_answer(re.sub(r"(?<=[0-9.])[eE][+-]?[0-9]+", "", text))


MUTANT = Mutant(
    id="exponent_dropped",
    stage="parse",
    checks=(),
    fault="1e+16 is read as 1",
    source="no report",
    patches={"sft_ref.reference.prompt.parse_answer": broken},
)
