from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM

complete = BaseLLM._complete


def broken(self: BaseLLM, prompts: list[str], each: int, temperature: float) -> list[str]:
    texts = complete(self, prompts, each, temperature)
    return [text for row in range(len(prompts)) for text in texts[row :: len(prompts)]]


MUTANT = Mutant(
    id="S8-group",
    stage="generate",
    checks=("GEN-011",),
    fault="several sequences a prompt are regrouped as if all first ones came first",
    source="course submission",
    patches={"sft_ref.reference.base_llm.BaseLLM._complete": broken},
)
