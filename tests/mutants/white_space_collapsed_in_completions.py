"""Line breaks, tabs and repeated spaces become single spaces in completions."""

from typing import Any

from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM

complete = BaseLLM._complete


def collapsed(self: Any, prompts: list[str], each: int, temperature: float) -> list[str]:
    return [" ".join(text.split()) for text in complete(self, prompts, each, temperature)]


MUTANT = Mutant(
    id="white-space",
    stage="generate",
    checks=("GEN-013",),
    fault="completions lose line breaks and repeated spaces",
    source="ours",
    patches={"sft_ref.reference.base_llm.BaseLLM._complete": collapsed},
)
