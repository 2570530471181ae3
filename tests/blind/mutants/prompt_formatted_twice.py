"""A question that is already a prompt is made one again: it ends with two opening tags.

Accuracy 0.98; sound 1.00.
"""

from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM
from sft_ref.reference.prompt import format_prompt


def broken(_llm: BaseLLM, question: str) -> str:
    return format_prompt(format_prompt(question))


MUTANT = Mutant(
    id="prompt_formatted_twice",
    stage="prompt",
    checks=(),
    fault="the prompt is formatted twice when a question is asked, and once in training",
    source="no report",
    patches={"sft_ref.reference.base_llm.BaseLLM.format_prompt": broken},
)
