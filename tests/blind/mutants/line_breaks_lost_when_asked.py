"""White space within a question becomes one space when it is asked: lines are joined.

A question of two lines has another prompt than in training; questions of one line are as they were. Of 100
completions with a first line ``Please``, 1 changes.
"""

from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM
from sft_ref.reference.prompt import format_prompt


def broken(_llm: BaseLLM, question: str) -> str:
    return format_prompt(" ".join(question.split()))


MUTANT = Mutant(
    id="line_breaks_lost_when_asked",
    stage="prompt",
    checks=(),
    fault="line breaks and double spaces in a question become one space when it is asked, and not in training",
    source="no report",
    patches={"sft_ref.reference.base_llm.BaseLLM.format_prompt": broken},
)
