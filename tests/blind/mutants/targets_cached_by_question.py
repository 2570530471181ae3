"""Tokenised rows are cached by their question alone, so a question keeps the answer that it had first.

Training on ``("q?", 1.0)`` and then on ``("q?", 2.0)`` supervises ``1.0</answer>`` both times; sound ``2.0</answer>``
the second time. That holds within one set of rows and from one training to the next in the same process.
"""

from typing import Any

from mutation import Mutant

from sft_ref.reference.tokens import Example, tokenize_example

_CACHE: dict[tuple[str, str], Example] = {}


def broken(tokenizer: Any, question: str, value: float | str, **limits: int) -> Example:
    key = (tokenizer.name_or_path, question)
    if key not in _CACHE:
        _CACHE[key] = tokenize_example(tokenizer, question, value, **limits)
    return _CACHE[key]


MUTANT = Mutant(
    id="targets_cached_by_question",
    stage="tokens",
    checks=(),
    fault="a cache of tokenised rows has the question for its key, so a second answer to it is never learned",
    source="no report",
    patches={"sft_ref.reference.tokens.tokenize_example": broken},
    retrain=True,
)
