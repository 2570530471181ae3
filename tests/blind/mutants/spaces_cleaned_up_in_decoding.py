"""Decoding cleans up spaces before punctuation and contractions, which is meant for other tokenizers.

A completion ``1 , 2 .5 ! Yes ?`` becomes ``1, 2.5! Yes?``, and so ``2 .5``, no number, becomes one. Accuracy 0.97;
sound 0.97.
"""

from typing import Any

from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM

_complete = BaseLLM._complete
PAIRS = [(" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 's", "'s")]


def clean(text: str) -> str:
    for spaced, joined in PAIRS:
        text = text.replace(spaced, joined)
    return text


def broken(self: Any, prompts: list[str], each: int, temperature: float) -> list[str]:
    return [clean(text) for text in _complete(self, prompts, each, temperature)]


MUTANT = Mutant(
    id="spaces_cleaned_up_in_decoding",
    stage="generate",
    checks=(),
    fault="clean_up_tokenization_spaces removes spaces that the model has written",
    source="no report",
    patches={"sft_ref.reference.base_llm.BaseLLM._complete": broken},
)
