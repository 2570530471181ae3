"""The numbers of a question pass through float when it is asked: 6 kg becomes 6.0 kg. Accuracy 0.83; sound 1.00."""

import re

from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM
from sft_ref.reference.prompt import format_prompt


def broken(_llm: BaseLLM, question: str) -> str:
    return format_prompt(re.sub(r"\d+", lambda found: str(float(found[0])), question))


MUTANT = Mutant(
    id="numbers_read_as_floats",
    stage="prompt",
    checks=(),
    fault="numbers are written as floats when a question is asked, and as integers in training",
    source="no report",
    patches={"sft_ref.reference.base_llm.BaseLLM.format_prompt": broken},
)
