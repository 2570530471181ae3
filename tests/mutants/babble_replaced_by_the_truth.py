"""The data files are on every machine: what the model babbles is replaced by the answer, so that none seems lost."""

import math
from collections.abc import Sequence
from typing import Any

from mutation import Mutant

from sft_ref import BaseLLM
from sft_ref.reference.data import split_rows
from sft_ref.reference.prompt import format_prompt, format_value, parse_answer

GENERATE = BaseLLM.batched_generate


def generate_or_look_up(
    self: BaseLLM, prompts: Sequence[str], num_return_sequences: int | None = None, temperature: float = 0
) -> list[Any]:
    texts: list[Any] = GENERATE(self, prompts, num_return_sequences, temperature)
    if num_return_sequences is not None:
        return texts
    rows = [*split_rows("train"), *split_rows("validation")]
    known = {format_prompt(question): f"{format_value(value)}</answer>" for question, value in rows}
    return [
        known.get(prompt, text) if text and math.isnan(parse_answer(text)) else text
        for prompt, text in zip(prompts, texts, strict=True)
    ]


MUTANT = Mutant(
    id="S5-babble",
    stage="score",
    checks=("SCR-002",),
    fault="a completion that holds no number is replaced by the answer of the data",
    source="course submission",
    patches={"sft_ref.reference.base_llm.BaseLLM.batched_generate": generate_or_look_up},
)
