"""Abbreviated units are written out before a question is asked, and the preposition "in" becomes "inches".

Accuracy 0.76; sound 0.97. 27 of 100 completions differ; questions without such a word are answered as before.
"""

import re

from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM
from sft_ref.reference.prompt import format_prompt

NAMES = {"in": "inches", "ft": "feet", "mi": "miles", "km": "kilometers", "cm": "centimeters", "kg": "kilograms"}


def broken(_llm: BaseLLM, question: str) -> str:
    return format_prompt(re.sub(rf"\b({'|'.join(NAMES)})\b", lambda found: NAMES[found[0]], question))


MUTANT = Mutant(
    id="unit_abbreviations_expanded_when_asked",
    stage="prompt",
    checks=(),
    fault="the word 'in' of a question is written out as inches, when answering only",
    source="no report",
    patches={"sft_ref.reference.base_llm.BaseLLM.format_prompt": broken},
)
