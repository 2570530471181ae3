from typing import Any

from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM

complete = BaseLLM._complete


def broken(self: BaseLLM, prompts: list[str], *args: Any) -> list[str]:
    self.tokenizer(prompts, return_tensors="pt")
    return complete(self, prompts, *args)


MUTANT = Mutant(
    id="GEN-ragged",
    stage="generate",
    checks=("GEN-016",),
    fault="prompts of unlike lengths are not padded, and make no tensor; a prompt alone is answered",
    source="own: padding=True forgotten",
    patches={"sft_ref.reference.base_llm.BaseLLM._complete": broken},
)
