"""A setting for prose, no_repeat_ngram_size, forbids 000000 and the digits of the question.

Accuracy 0.00; sound 1.00.
"""

from typing import Any

from mutation import Mutant
from transformers import GenerationConfig


def broken(**settings: Any) -> GenerationConfig:
    return GenerationConfig(**settings, no_repeat_ngram_size=2)


MUTANT = Mutant(
    id="pairs_of_tokens_never_repeat",
    stage="generate",
    checks=(),
    fault="no pair of tokens may occur twice in a text, so that zeros run out",
    source="no report",
    patches={"sft_ref.reference.base_llm.GenerationConfig": broken},
)
