from typing import Any

from transformers import GenerationConfig

from sft_ref.harness.mutation import Mutant


def broken(**settings: Any) -> GenerationConfig:
    return GenerationConfig(**{**settings, "do_sample": True, "temperature": 0.7})


MUTANT = Mutant(
    id="GEN-sample",
    stage="generate",
    checks=("GEN-010",),
    fault="tokens are drawn at temperature 0 too",
    source="own: do_sample in the generation_config of SmolLM2-Instruct",
    patches={"sft_ref.base_llm.GenerationConfig": broken},
)
