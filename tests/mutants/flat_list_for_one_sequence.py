from typing import Any

from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM

generate = BaseLLM.batched_generate


def broken(
    self: BaseLLM, prompts: list[str], num_return_sequences: int | None = None, temperature: float = 0
) -> list[Any]:
    if num_return_sequences == 1:
        return generate(self, prompts, None, temperature)
    return generate(self, prompts, num_return_sequences, temperature)


MUTANT = Mutant(
    id="S8-flat",
    stage="generate",
    checks=("GEN-011",),
    fault="one sequence a prompt gives a flat list, as None does",
    source="course submission",
    patches={"sft_ref.reference.base_llm.BaseLLM.batched_generate": broken},
)
