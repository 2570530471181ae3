"""The training data comes from a web page, and its markup is not undone."""

import html

from mutation import Mutant

from sft_ref.reference.prompt import format_example


def escaped(question: str, value: float) -> dict[str, str]:
    return format_example(html.escape(question), value)


MUTANT = Mutant(
    id="markup-trained",
    stage="prompt",
    checks=("PRM-003",),
    fault="quotation marks and angle brackets of a question are escaped as in HTML, in training only",
    source="own: data that was scraped",
    patches={"sft_ref.reference.tokens.format_example": escaped},
)
