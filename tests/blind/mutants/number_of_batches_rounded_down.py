"""Prompts are answered in batches of 32, and the rest of a longer list in none.

Of 100 questions 4 have no answer. Accuracy 0.94, answer rate 0.96; sound 0.97, 1.00.
"""

from collections.abc import Sequence
from typing import Any

from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM

SIZE = 32
batched_generate: Any = BaseLLM.batched_generate


def broken(
    llm: BaseLLM, prompts: Sequence[str], num_return_sequences: int | None = None, temperature: float = 0
) -> list[Any]:
    batches = max(len(prompts) // SIZE, 1)
    found: list[Any] = batched_generate(llm, prompts[: batches * SIZE], num_return_sequences, temperature)
    nothing = "" if num_return_sequences is None else [""] * num_return_sequences
    return [*found, *[nothing] * (len(prompts) - len(found))]


MUTANT = Mutant(
    id="number_of_batches_rounded_down",
    stage="generate",
    checks=(),
    fault="the last, incomplete batch of a longer list of prompts gets empty completions",
    source="no report",
    patches={"sft_ref.reference.base_llm.BaseLLM.batched_generate": broken},
)
