"""Text is reduced to ASCII for an old file format, in training and at inference."""

import unicodedata

from mutation import Mutant

from sft_ref import BaseLLM
from sft_ref.reference.prompt import format_example, format_prompt


def plain(question: str) -> str:
    return unicodedata.normalize("NFKD", question).encode("ascii", "ignore").decode()


def ask(_self: BaseLLM, question: str) -> str:
    return format_prompt(plain(question))


def example(question: str, value: float) -> dict[str, str]:
    return format_example(plain(question), value)


MUTANT = Mutant(
    id="ascii-only",
    stage="prompt",
    checks=("PRM-001",),
    fault="letters outside ASCII are replaced or dropped, so that different questions give one prompt",
    source="own: a file that is written in ASCII",
    patches={
        "sft_ref.reference.base_llm.BaseLLM.format_prompt": ask,
        "sft_ref.reference.tokens.format_example": example,
    },
)
