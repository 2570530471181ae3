"""The end-of-sequence token ends the answer alone."""

from mutation import Mutant

from sft_ref.reference.prompt import format_example, format_value


def without_tag(question: str, value: float) -> dict[str, str]:
    return {**format_example(question, value), "answer": format_value(value)}


MUTANT = Mutant(
    id="S10-tags",
    stage="tokens",
    checks=("TOK-010",),
    fault="training texts hold no closing tag",
    source="course submission",
    patches={"sft_ref.reference.tokens.format_example": without_tag},
)
