"""A conversation is never cleared: each prompt begins with the question before. Accuracy 0.12; sound 1.00."""

from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM
from sft_ref.reference.prompt import format_prompt


def broken(llm: BaseLLM, question: str) -> str:
    before = vars(llm).get("before", "")
    vars(llm)["before"] = question
    return format_prompt(f"{before} {question}")


MUTANT = Mutant(
    id="previous_question_in_the_prompt",
    stage="prompt",
    checks=(),
    fault="each prompt begins with the question that was asked before it",
    source="no report",
    patches={"sft_ref.reference.base_llm.BaseLLM.format_prompt": broken},
)
