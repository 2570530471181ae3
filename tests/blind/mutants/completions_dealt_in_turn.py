"""Several completions for each prompt are read in the wrong order, (each, prompts) for (prompts, each).

Accuracy 1.00; sound 1.00. Of two prompts with two completions each, either gets one of the other's.
"""

from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM

_complete = BaseLLM._complete


def broken(llm: BaseLLM, prompts: list[str], each: int, temperature: float) -> list[str]:
    texts = _complete(llm, prompts, each, temperature)
    return [text for first in range(each) for text in texts[first::each]]


MUTANT = Mutant(
    id="completions_dealt_in_turn",
    stage="generate",
    checks=(),
    fault="where a prompt has several completions, they are dealt to the prompts in turn",
    source="no report",
    patches={"sft_ref.reference.base_llm.BaseLLM._complete": broken},
)
