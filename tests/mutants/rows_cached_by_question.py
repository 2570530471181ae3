"""The training texts are cached by their question."""

from typing import Any

from mutation import Mutant

from sft_ref.reference.tokens import Example, tokenize_example

_TEXTS: dict[tuple[int, str], Example] = {}


def cached(tokenizer: Any, question: str, value: Any) -> Example:
    key = len(tokenizer), question
    if key not in _TEXTS:
        _TEXTS[key] = tokenize_example(tokenizer, question, value)
    return _TEXTS[key]


MUTANT = Mutant(
    id="cached-rows",
    stage="tokens",
    checks=("TOK-008",),
    fault="a cache of training texts has the question alone for its key",
    source="ours",
    patches={"sft_ref.reference.tokens.tokenize_example": cached},
)
