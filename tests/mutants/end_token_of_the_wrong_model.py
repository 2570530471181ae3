from typing import Any

from mutation import Mutant
from transformers import GenerationConfig


def broken(**settings: Any) -> GenerationConfig:
    return GenerationConfig(**{**settings, "eos_token_id": 0})


MUTANT = Mutant(
    id="GEN-end",
    stage="tokens",
    checks=("TOK-007",),
    fault="generation waits for another end than the one that is supervised, and writes on",
    source="axolotl#3754",
    patches={"sft_ref.reference.base_llm.GenerationConfig": broken},
)
