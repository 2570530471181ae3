from typing import Any

from mutation import Mutant
from transformers import GenerationConfig


def broken(**settings: Any) -> GenerationConfig:
    return GenerationConfig(**{**settings, "max_new_tokens": 16})


MUTANT = Mutant(
    id="GEN-budget",
    stage="generate",
    checks=("GEN-007",),
    fault="16 new tokens, in which 1e15 cannot be written digit by digit",
    source="own: a budget measured on short answers",
    patches={"sft_ref.reference.base_llm.GenerationConfig": broken},
)
