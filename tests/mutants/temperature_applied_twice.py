"""Logits are divided by the temperature by hand, and again by generate."""

from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM

complete = BaseLLM._complete


def divided_twice(self: BaseLLM, prompts: list[str], each: int, temperature: float) -> list[str]:
    return complete(self, prompts, each, temperature**2)


MUTANT = Mutant(
    id="GEN-temperature",
    stage="generate",
    checks=("GEN-017",),
    fault="the temperature is applied twice",
    source="own: a sampler beside the library's",
    patches={"sft_ref.reference.base_llm.BaseLLM._complete": divided_twice},
)
