"""Sampling is turned on by a temperature, whose value is lost: it is always 1.

At a temperature of 2, 98 % of samples equal the greedy completion; sound 56 %. At 0.2, 98 %; sound 100 %.
"""

from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM

_complete = BaseLLM._complete


def broken(llm: BaseLLM, prompts: list[str], each: int, temperature: float) -> list[str]:
    return _complete(llm, prompts, each, 1.0 if temperature > 0 else 0)


MUTANT = Mutant(
    id="temperature_not_passed_on",
    stage="generate",
    checks=(),
    fault="tokens are sampled at a temperature of 1, whatever was asked for",
    source="no report",
    patches={"sft_ref.reference.base_llm.BaseLLM._complete": broken},
)
