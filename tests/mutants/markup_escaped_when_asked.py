"""A web page escapes the question before it asks; the training data comes from a file."""

import html

from mutation import Mutant

from sft_ref import BaseLLM
from sft_ref.reference.prompt import format_prompt


def escaped(_self: BaseLLM, question: str) -> str:
    return format_prompt(html.escape(question))


MUTANT = Mutant(
    id="markup-escaped",
    stage="prompt",
    checks=("PRM-003",),
    fault="quotation marks and angle brackets of a question are escaped as in HTML, at inference only",
    source="own: a question from a web form",
    patches={"sft_ref.reference.base_llm.BaseLLM.format_prompt": escaped},
)
