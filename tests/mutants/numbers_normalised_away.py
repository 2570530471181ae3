"""Cleaning meant for text search."""

import re

from mutation import Mutant

from sft_ref import BaseLLM
from sft_ref.reference.prompt import format_example, format_prompt


def without_numbers(question: str) -> str:
    return re.sub(r"[0-9]+", "#", question)


def ask(_self: BaseLLM, question: str) -> str:
    return format_prompt(without_numbers(question))


def example(question: str, value: float) -> dict[str, str]:
    return format_example(without_numbers(question), value)


MUTANT = Mutant(
    id="numbers-dropped",
    stage="prompt",
    checks=("PRM-001", "PRM-004"),
    fault="numbers of a question become #, in training and at inference",
    source="ours",
    patches={
        "sft_ref.reference.base_llm.BaseLLM.format_prompt": ask,
        "sft_ref.reference.tokens.format_example": example,
    },
)
