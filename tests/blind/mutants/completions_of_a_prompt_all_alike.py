"""One completion is sampled for each prompt and then repeated, where several were asked for.

At a temperature of 1.5, four completions of a prompt are 1.0 different texts; sound 1.55 on average. Accuracy 0.97;
sound 0.97.
"""

from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM

_complete = BaseLLM._complete


def broken(llm: BaseLLM, prompts: list[str], each: int, temperature: float) -> list[str]:
    return [text for text in _complete(llm, prompts, 1, temperature) for _ in range(each)]


MUTANT = Mutant(
    id="completions_of_a_prompt_all_alike",
    stage="generate",
    checks=(),
    fault="several completions of one prompt are copies of a single sample",
    source="no report",
    patches={"sft_ref.reference.base_llm.BaseLLM._complete": broken},
)
