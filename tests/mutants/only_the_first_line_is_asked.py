"""Only the first line of a question is asked, as if the rest were a signature; training keeps all."""

from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM
from sft_ref.reference.prompt import format_prompt


def first_line(_self: BaseLLM, question: str) -> str:
    return format_prompt(question.strip().split("\n")[0])


MUTANT = Mutant(
    id="first-line",
    stage="prompt",
    checks=("PRM-003",),
    fault="the lines of a question after the first one are dropped when it is asked",
    source="ours",
    patches={"sft_ref.reference.base_llm.BaseLLM.format_prompt": first_line},
)
