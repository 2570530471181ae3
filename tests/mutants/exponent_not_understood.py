"""str(1e16) is 1e+16."""

from mutation import Mutant

from sft_ref.reference.prompt import parse_answer


def parse(text: str) -> float:
    return parse_answer(text) if "e+" not in text.lower() else float("nan")


MUTANT = Mutant(
    id="exponent",
    stage="parse",
    checks=("PRS-007",),
    fault="numbers with an exponent are read as NaN",
    source="ours",
    patches={"sft_ref.reference.prompt.parse_answer": parse},
)
