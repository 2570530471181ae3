"""It would learn as well, but fits nobody else's adapter."""

from mutation import Mutant

from sft_ref import BaseLLM
from sft_ref.reference.prompt import format_example


def ask(_self: BaseLLM, question: str) -> str:
    return f"Question: {question.strip()} Answer: <answer>"


def example(question: str, value: float) -> dict[str, str]:
    return {**format_example(question, value), "question": f"Question: {question.strip()} Answer: <answer>"}


MUTANT = Mutant(
    id="another-wording",
    stage="prompt",
    checks=("PRM-004",),
    fault="questions are put in other words than the contract's, in training and at inference",
    source="ours",
    patches={
        "sft_ref.reference.base_llm.BaseLLM.format_prompt": ask,
        "sft_ref.reference.tokens.format_example": example,
    },
)
