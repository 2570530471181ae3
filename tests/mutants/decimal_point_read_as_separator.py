"""As numbers are written in much of Europe."""

from sft_ref.harness.mutation import Mutant
from sft_ref.prompt import parse_answer


def parse(text: str) -> float:
    return parse_answer(text.replace(".", "").replace(",", "."))


MUTANT = Mutant(
    id="locale",
    stage="parse",
    checks=("PRS-001", "PRS-007"),
    fault="the decimal point is dropped as a separator of thousands",
    source="ours",
    patches={"sft_ref.prompt.parse_answer": parse},
)
