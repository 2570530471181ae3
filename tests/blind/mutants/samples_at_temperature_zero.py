"""Tokens are sampled at temperature 1 where greedy decoding is asked for.

Accuracy 0.98; sound 1.00.
"""

from typing import Any

from mutation import Mutant
from transformers import GenerationConfig


def broken(**settings: Any) -> GenerationConfig:
    return GenerationConfig(**settings | {"do_sample": True})


MUTANT = Mutant(
    id="samples_at_temperature_zero",
    stage="generate",
    checks=(),
    fault="tokens are sampled at a temperature of 0 too",
    source="no report",
    patches={"sft_ref.reference.base_llm.GenerationConfig": broken},
)
