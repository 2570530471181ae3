"""The question ends in a question mark when it is asked, also where it is a request.

``Convert 3 km to m.`` is asked as ``Convert 3 km to m?``, a text that training never shows. A third of the questions
are requests. Accuracy 0.99 on the 1,000 validation rows; sound 0.99.
"""

from typing import Any

from mutation import Mutant

from sft_ref.reference.prompt import format_prompt


def broken(_self: Any, question: str) -> str:
    return format_prompt(question.rstrip(" .?!\n") + "?")


MUTANT = Mutant(
    id="question_mark_added_when_asked",
    stage="prompt",
    checks=(),
    fault="requests such as 'Convert 3 km to m.' are asked with a question mark in place of their full stop",
    source="no report",
    patches={"sft_ref.reference.base_llm.BaseLLM.format_prompt": broken},
)
