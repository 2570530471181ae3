from typing import Any

from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM

generate = BaseLLM.batched_generate


def broken(self: BaseLLM, prompts: list[str], *args: Any) -> list[Any]:
    before = ["", *prompts]
    return generate(self, [f"{last}\n{prompt}".strip() for last, prompt in zip(before, prompts, strict=False)], *args)


MUTANT = Mutant(
    id="GEN-history",
    stage="generate",
    checks=("GEN-005", "GEN-007"),
    fault="each prompt of a batch begins with the one before it, as a conversation does",
    source="own: a chat history that is not cleared",
    patches={"sft_ref.reference.base_llm.BaseLLM.batched_generate": broken},
)
