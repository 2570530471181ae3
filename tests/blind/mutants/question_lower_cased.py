"""The question is lower-cased when it is asked: MB and mb are one unit. Accuracy 0.72; sound 1.00."""

from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM
from sft_ref.reference.prompt import format_prompt


def broken(_llm: BaseLLM, question: str) -> str:
    return format_prompt(question.lower())


MUTANT = Mutant(
    id="question_lower_cased",
    stage="prompt",
    checks=(),
    fault="the question is lower-cased when it is asked, and not in training",
    source="no report",
    patches={"sft_ref.reference.base_llm.BaseLLM.format_prompt": broken},
)
