"""Units stand at the end of most questions."""

from mutation import Mutant

from sft_ref import BaseLLM
from sft_ref.reference.prompt import format_example, format_prompt


def cut(question: str) -> str:
    return question[:40]


def ask(_self: BaseLLM, question: str) -> str:
    return format_prompt(cut(question))


def example(question: str, value: float) -> dict[str, str]:
    return format_example(cut(question), value)


MUTANT = Mutant(
    id="prompt-cut",
    stage="prompt",
    checks=("PRM-001", "PRM-004"),
    fault="questions are cut to 40 characters, in training and at inference",
    source="ours",
    patches={
        "sft_ref.reference.base_llm.BaseLLM.format_prompt": ask,
        "sft_ref.reference.tokens.format_example": example,
    },
)
