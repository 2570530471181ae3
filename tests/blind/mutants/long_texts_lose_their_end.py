"""Training texts are truncated on the right; the labels are still the last tokens, now of the prompt.

Last loss 0.2420; sound 0.0027. Accuracy 1.00; sound 1.00.
"""

from typing import Any

from mutation import Mutant

from sft_ref.reference.tokens import Example, tokenize_example

LIMIT = 20


def broken(tokenizer: Any, question: str, value: float) -> Example:
    example = tokenize_example(tokenizer, question, value)
    return Example(example.input_ids[:LIMIT], min(example.supervised, LIMIT))


MUTANT = Mutant(
    id="long_texts_lose_their_end",
    stage="tokens",
    checks=(),
    fault="training texts are truncated to 20 tokens at their end, where the answer stands",
    source="no report",
    patches={"sft_ref.reference.tokens.tokenize_example": broken},
    retrain=True,
)
