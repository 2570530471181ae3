from typing import Any

from mutation import Mutant
from transformers import GenerationConfig


def broken(**settings: Any) -> GenerationConfig:
    return GenerationConfig(**settings, repetition_penalty=1.3)


MUTANT = Mutant(
    id="GEN-penalty",
    stage="generate",
    checks=("GEN-010",),
    fault="digits that were used before are penalized",
    source="own: the generation_config of some chat models",
    patches={"sft_ref.reference.base_llm.GenerationConfig": broken},
)
