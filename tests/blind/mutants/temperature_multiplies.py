"""The logits are multiplied by the temperature in place of being divided by it.

A temperature of 1 is sound; a low one makes the samples wild, a high one makes them all alike. Of 20 samples of a
prompt at 0.2, 20 are distinct, and 1 at 5.0; sound 1 and 20. Greedy answers are sound.
"""

from typing import Any

from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM

_complete = BaseLLM._complete


def broken(self: Any, prompts: list[str], each: int, temperature: float) -> list[str]:
    return _complete(self, prompts, each, 1 / temperature if temperature else 0)


MUTANT = Mutant(
    id="temperature_multiplies",
    stage="generate",
    checks=(),
    fault="logits are multiplied by the temperature",
    source="no report",
    patches={"sft_ref.reference.base_llm.BaseLLM._complete": broken},
)
