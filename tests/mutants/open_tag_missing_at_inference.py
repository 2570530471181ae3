"""Training masks `question <answer>`; the test asks with the question alone."""

from mutation import Mutant

from sft_ref import BaseLLM


def bare(_self: BaseLLM, question: str) -> str:
    return question.strip()


MUTANT = Mutant(
    id="open-tag-missing",
    stage="prompt",
    checks=("PRM-003", "PRM-004"),
    fault="the open tag stands in the prompt of training, and not of inference",
    source="ours",
    patches={"sft_ref.reference.base_llm.BaseLLM.format_prompt": bare},
)
