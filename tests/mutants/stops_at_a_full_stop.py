from typing import Any

from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM

complete = BaseLLM._complete


def broken(self: BaseLLM, *args: Any) -> list[str]:
    return [text.partition(".")[0] for text in complete(self, *args)]


MUTANT = Mutant(
    id="GEN-stop",
    stage="generate",
    checks=("GEN-007",),
    fault="completions are cut at the first full stop, as sentences are",
    source="own: a stop string meant for prose",
    patches={"sft_ref.reference.base_llm.BaseLLM._complete": broken},
)
