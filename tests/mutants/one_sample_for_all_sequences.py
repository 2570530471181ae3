"""One completion is sampled for each prompt, and repeated."""

from typing import Any

from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM

generate = BaseLLM.batched_generate


def repeated(self: BaseLLM, prompts: list[str], number: int | None = None, *args: Any) -> list[Any]:
    if number is None:
        return generate(self, prompts, None, *args)
    return [[text] * number for [text] in generate(self, prompts, 1, *args)]


MUTANT = Mutant(
    id="GEN-copies",
    stage="generate",
    checks=("GEN-017",),
    fault="all sequences of a prompt are copies of one sample",
    source="own: a batch that is expanded after generation",
    patches={"sft_ref.reference.base_llm.BaseLLM.batched_generate": repeated},
)
