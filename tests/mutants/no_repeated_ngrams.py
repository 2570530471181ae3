from typing import Any

from mutation import Mutant
from transformers import GenerationConfig


def broken(**settings: Any) -> GenerationConfig:
    return GenerationConfig(**settings, no_repeat_ngram_size=3)


MUTANT = Mutant(
    id="GEN-ngram",
    stage="generate",
    checks=("GEN-007",),
    fault="no three tokens may repeat, and so no number with a run of zeros can be written",
    source="own: a setting copied from summarization",
    patches={"sft_ref.reference.base_llm.GenerationConfig": broken},
)
