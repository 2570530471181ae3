"""The adapter is disabled around generation, as for a reference model, and never comes back.

Accuracy 0.00; sound 1.00.
"""

from typing import Any

from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM

_complete = BaseLLM._complete


def broken(llm: BaseLLM, *args: Any) -> list[str]:
    with llm.model.disable_adapter():
        return _complete(llm, *args)


MUTANT = Mutant(
    id="adapter_off_while_answering",
    stage="generate",
    checks=(),
    fault="the adapter is off while the model answers, and on when it is looked at",
    source="signet-trainer#105",
    patches={"sft_ref.reference.base_llm.BaseLLM._complete": broken},
)
