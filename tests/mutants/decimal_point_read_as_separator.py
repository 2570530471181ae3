"""As numbers are written in much of Europe."""

from mutation import Mutant

from sft_ref.reference.prompt import parse_answer


def parse(text: str) -> float:
    return parse_answer(text.replace(".", "").replace(",", "."))


MUTANT = Mutant(
    id="locale",
    stage="parse",
    checks=("PRS-001", "PRS-007"),
    fault="the decimal point is dropped as a separator of thousands",
    source="ours",
    patches={"sft_ref.reference.prompt.parse_answer": parse},
)
