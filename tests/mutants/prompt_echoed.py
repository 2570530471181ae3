from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM

complete = BaseLLM._complete


def broken(self: BaseLLM, prompts: list[str], each: int, temperature: float) -> list[str]:
    texts = complete(self, prompts, each, temperature)
    return [prompts[place // each] + text for place, text in enumerate(texts)]


MUTANT = Mutant(
    id="GEN-echo",
    stage="generate",
    checks=("GEN-013",),
    fault="the prompt is decoded with the completion",
    source="own: what generate returns begins with the prompt",
    patches={"sft_ref.reference.base_llm.BaseLLM._complete": broken},
)
