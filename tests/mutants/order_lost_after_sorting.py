from typing import Any

from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM

generate = BaseLLM.batched_generate


def broken(self: BaseLLM, prompts: list[str], *args: Any) -> list[Any]:
    return generate(self, sorted(prompts, key=len), *args)


MUTANT = Mutant(
    id="GEN-order",
    stage="generate",
    checks=("GEN-007",),
    fault="prompts are sorted by length to save padding, and the completions stay sorted",
    source="own: a common speed-up",
    patches={"sft_ref.reference.base_llm.BaseLLM.batched_generate": broken},
)
