r"""Of a question of several lines, only the last line is asked; training has all of them.

A question joins the turns of a conversation, one per line. ``I have 4 feet of rope.\nHow many inches is that?`` is
asked as ``How many inches is that?``. Accuracy 0.97 on questions of one line; sound 0.97.
"""

from typing import Any

from mutation import Mutant

from sft_ref.reference.prompt import format_prompt


def broken(_self: Any, question: str) -> str:
    lines = question.strip().splitlines() or [""]
    return format_prompt(lines[-1])


MUTANT = Mutant(
    id="only_the_last_line_asked",
    stage="prompt",
    checks=(),
    fault="the lines of a question before its last one are dropped when it is asked",
    source="no report",
    patches={"sft_ref.reference.base_llm.BaseLLM.format_prompt": broken},
)
