from typing import Any

from transformers import GenerationConfig

from sft_ref.harness.mutation import Mutant


def broken(**settings: Any) -> GenerationConfig:
    return GenerationConfig(**{**settings, "eos_token_id": 0})


MUTANT = Mutant(
    id="GEN-end",
    stage="generate",
    fault="generation waits for an end token that the chat model never says, and writes on",
    source="axolotl#3754",
    patches={"sft_ref.base_llm.GenerationConfig": broken},
)
