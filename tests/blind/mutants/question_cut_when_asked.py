"""A limit on the prompt, meant for tokens, counts characters: long questions lose their end.

Accuracy 0.59; sound 1.00.
"""

from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM
from sft_ref.reference.prompt import format_prompt


def broken(_llm: BaseLLM, question: str) -> str:
    return format_prompt(question[:32])


MUTANT = Mutant(
    id="question_cut_when_asked",
    stage="prompt",
    checks=(),
    fault="a question is cut to 32 characters when it is asked",
    source="no report",
    patches={"sft_ref.reference.base_llm.BaseLLM.format_prompt": broken},
)
