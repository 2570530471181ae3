"""A parsed answer is rounded to an integer. Accuracy 0.78; sound 1.00."""

import math

from mutation import Mutant

from sft_ref.reference.prompt import parse_answer


def broken(text: str) -> float:
    value = parse_answer(text)
    return float(round(value)) if math.isfinite(value) else value


MUTANT = Mutant(
    id="answer_rounded",
    stage="parse",
    checks=(),
    fault="a parsed answer is rounded to an integer",
    source="course submission",
    patches={"sft_ref.reference.prompt.parse_answer": broken},
)
