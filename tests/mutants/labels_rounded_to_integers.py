"""`round(answer)` where `round(answer, 3)` was meant."""

from mutation import Mutant

from sft_ref.reference.prompt import format_example


def rounded(question: str, value: float) -> dict[str, str]:
    return format_example(question, float(round(value)))


MUTANT = Mutant(
    id="S10",
    stage="tokens",
    checks=("TOK-006", "TOK-010"),
    fault="training texts hold answers rounded to integers",
    source="course submission",
    patches={"sft_ref.reference.tokens.format_example": rounded},
)
