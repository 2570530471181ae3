from typing import Any

from transformers import GenerationConfig

from sft_ref.harness.mutation import Mutant


def broken(**settings: Any) -> GenerationConfig:
    return GenerationConfig(**{**settings, "eos_token_id": 0})


MUTANT = Mutant(
    id="GEN-end",
    stage="tokens",
    checks=("TOK-007",),
    fault="generation waits for another end than the one that is supervised, and writes on",
    source="axolotl#3754",
    patches={"sft_ref.base_llm.GenerationConfig": broken},
)
