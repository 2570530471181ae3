"""A stop string of another task, the full stop, cuts numbers at their decimal point. Accuracy 0.78; sound 1.00."""

from typing import Any

from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM

_complete = BaseLLM._complete


def broken(llm: BaseLLM, *args: Any) -> list[str]:
    return [text.partition(".")[0] for text in _complete(llm, *args)]


MUTANT = Mutant(
    id="stop_string_cuts",
    stage="generate",
    checks=(),
    fault="a full stop ends a completion, and with it every number at its decimal point",
    source="no report",
    patches={"sft_ref.reference.base_llm.BaseLLM._complete": broken},
)
