"""A question from a file ends in a newline."""

from mutation import Mutant

from sft_ref import BaseLLM


def as_it_is(_self: BaseLLM, question: str) -> str:
    return f"{question} <answer>"


MUTANT = Mutant(
    id="prompt-not-stripped",
    stage="prompt",
    checks=("PRM-005",),
    fault="white space around a question stays in its prompt",
    source="ours",
    patches={"sft_ref.reference.base_llm.BaseLLM.format_prompt": as_it_is},
)
