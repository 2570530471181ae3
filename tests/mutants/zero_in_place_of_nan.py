"""A fallback that counts as an answer."""

import math

from mutation import Mutant

from sft_ref.reference.prompt import parse_answer


def parse(text: str) -> float:
    value = parse_answer(text)
    return 0.0 if math.isnan(value) else value


MUTANT = Mutant(
    id="S4",
    stage="parse",
    checks=("PRS-003",),
    fault="the parser gives 0.0 where there is no answer",
    source="course submission",
    patches={"sft_ref.reference.prompt.parse_answer": parse},
)
