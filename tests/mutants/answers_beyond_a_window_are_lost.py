"""A queue of requests has room for 32; those that do not fit are answered with nothing."""

from typing import Any

from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM

ROOM = 32
generate = BaseLLM.batched_generate


def in_a_queue(self: BaseLLM, prompts: list[str], *args: Any) -> list[Any]:
    found = generate(self, prompts[:ROOM], *args)
    return [*found, *[""] * (len(prompts) - len(found))]


MUTANT = Mutant(
    id="GEN-queue",
    stage="generate",
    checks=("GEN-007",),
    fault="only the first 32 prompts of a call are answered",
    source="own: a fixed size of a buffer",
    patches={"sft_ref.reference.base_llm.BaseLLM.batched_generate": in_a_queue},
)
