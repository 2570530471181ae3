from typing import Any

from mutation import Mutant
from transformers import GenerationConfig


def broken(**settings: Any) -> GenerationConfig:
    return GenerationConfig(**{**settings, "do_sample": True, "temperature": 0.7})


MUTANT = Mutant(
    id="GEN-sample",
    stage="generate",
    checks=("GEN-010",),
    fault="tokens are drawn at temperature 0 too",
    source="own: do_sample in the generation_config of SmolLM2-Instruct",
    patches={"sft_ref.reference.base_llm.GenerationConfig": broken},
)
