"""The training prompt is tokenised in two pieces, question and tag, so that no token spans both.

Every training prompt ends in other ids than at inference. Last loss 0.0077; sound 0.0027. Accuracy 0.96; sound 0.97.
"""

from typing import Any

from mutation import Mutant

from sft_ref.reference.prompt import OPEN_TAG
from sft_ref.reference.tokens import MAX_TOKENS, Example, tokenize_example


def broken(tokenizer: Any, question: str, value: float | str, *, max_tokens: int = MAX_TOKENS) -> Example:
    example = tokenize_example(tokenizer, question, value, max_tokens=max_tokens)
    prompt = [*tokenizer(f"{question.strip()} ")["input_ids"], *tokenizer(OPEN_TAG)["input_ids"]]
    return Example(tuple([*prompt, *example.input_ids[-example.supervised :]][-max_tokens:]), example.supervised)


MUTANT = Mutant(
    id="prompt_tokenised_in_pieces",
    stage="tokens",
    checks=(),
    fault="the space before the opening tag is a token of its own in training, and part of the tag's when asked",
    source="unslothai/notebooks#149, trl#1920 are akin",
    patches={"sft_ref.reference.tokens.tokenize_example": broken},
    retrain=True,
)
