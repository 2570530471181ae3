"""`if not value` where `if value is None` was meant."""

from mutation import Mutant

from sft_ref.reference.prompt import parse_answer


def unless_zero(text: str) -> float:
    value = parse_answer(text)
    return value or float("nan")


MUTANT = Mutant(
    id="zero-nan",
    stage="parse",
    checks=("PRS-001",),
    fault="an answer of 0 is read as no answer",
    source="own: the truth of a number",
    patches={"sft_ref.reference.prompt.parse_answer": unless_zero},
)
