from typing import Any

from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM

generate = BaseLLM.batched_generate


def broken(self: BaseLLM, prompts: list[str], *args: Any) -> list[Any]:
    return [*dict(zip(prompts, generate(self, prompts, *args), strict=True)).values()]


MUTANT = Mutant(
    id="GEN-twice",
    stage="generate",
    checks=("GEN-007",),
    fault="completions are kept by prompt, so that a question asked twice is answered once",
    source="own: a dictionary of results",
    patches={"sft_ref.reference.base_llm.BaseLLM.batched_generate": broken},
)
