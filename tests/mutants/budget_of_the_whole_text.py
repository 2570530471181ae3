"""`max_length` in place of `max_new_tokens`: it counts the prompt, so that a long question leaves no room."""

from typing import Any

from mutation import Mutant
from transformers import GenerationConfig


def limited(*, max_new_tokens: int = 0, **settings: Any) -> GenerationConfig:
    return GenerationConfig(max_length=max_new_tokens + 32, **settings)


MUTANT = Mutant(
    id="budget-of-whole",
    stage="generate",
    checks=("GEN-007",),
    fault="the limit on new tokens is one on prompt and answer together",
    source="transformers: max_length counts the prompt",
    patches={"sft_ref.reference.base_llm.GenerationConfig": limited},
)
