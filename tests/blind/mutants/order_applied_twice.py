"""Prompts are sorted by length, and the order is applied to the completions again in place of its inverse.

One or two prompts get the right completions. Accuracy 0.02; sound 1.00.
"""

from collections.abc import Sequence
from typing import Any

from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM

batched_generate: Any = BaseLLM.batched_generate


def broken(llm: BaseLLM, prompts: Sequence[str], *args: Any, **kwargs: Any) -> list[Any]:
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    completions = batched_generate(llm, [prompts[i] for i in order], *args, **kwargs)
    return [completions[i] for i in order]


MUTANT = Mutant(
    id="order_applied_twice",
    stage="generate",
    checks=(),
    fault="completions of prompts sorted by length are not put back into the order of the prompts",
    source="no report",
    patches={"sft_ref.reference.base_llm.BaseLLM.batched_generate": broken},
)
