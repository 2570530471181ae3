"""The question is normalised as for SQuAD when it is asked: m/s becomes ms.

Accuracy 0.98; sound 1.00.
"""

import string

from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM
from sft_ref.reference.prompt import format_prompt

REMOVED = str.maketrans("", "", string.punctuation)


def broken(_llm: BaseLLM, question: str) -> str:
    return format_prompt(question.translate(REMOVED))


MUTANT = Mutant(
    id="punctuation_removed_when_asked",
    stage="prompt",
    checks=(),
    fault="punctuation is removed from a question when it is asked, and not in training",
    source="no report",
    patches={"sft_ref.reference.base_llm.BaseLLM.format_prompt": broken},
)
