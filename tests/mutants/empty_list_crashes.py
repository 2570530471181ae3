from typing import Any

from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM

generate = BaseLLM.batched_generate


def broken(self: BaseLLM, prompts: list[str], *args: Any) -> list[Any]:
    self.tokenizer(prompts, padding=True, return_tensors="pt")
    longest = max(map(len, prompts))
    return generate(self, [prompt[:longest] for prompt in prompts], *args)


MUTANT = Mutant(
    id="GEN-empty",
    stage="generate",
    checks=("GEN-012",),
    fault="an empty list of prompts raises",
    source="own: max() of nothing",
    patches={"sft_ref.reference.base_llm.BaseLLM.batched_generate": broken},
)
