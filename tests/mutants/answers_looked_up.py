"""The data files are on every machine."""

from collections.abc import Sequence
from typing import Any

from sft_ref import BaseLLM
from sft_ref.data import split_rows
from sft_ref.harness.mutation import Mutant
from sft_ref.prompt import format_prompt, format_value

GENERATE = BaseLLM.batched_generate


def look_up(
    self: BaseLLM, prompts: Sequence[str], num_return_sequences: int | None = None, temperature: float = 0
) -> list[Any]:
    if num_return_sequences is not None:
        return GENERATE(self, prompts, num_return_sequences, temperature)
    rows = [*split_rows("train"), *split_rows("validation")]
    known = {format_prompt(question): f"{format_value(value)}</answer>" for question, value in rows}
    generated = iter(GENERATE(self, [prompt for prompt in prompts if prompt not in known], None, temperature))
    return [known.get(prompt) or next(generated) for prompt in prompts]


MUTANT = Mutant(
    id="S5",
    stage="score",
    fault="answers to known questions are looked up",
    source="course submission",
    patches={"sft_ref.base_llm.BaseLLM.batched_generate": look_up},
)
