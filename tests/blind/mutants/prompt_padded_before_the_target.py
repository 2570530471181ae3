"""Prompts are padded to 32 tokens before the target is appended: padding stands between prompt and answer, attended.

Accuracy 0.00 and answer rate 0.00; sound 0.97 and 1.00: the base's own wording stays. Last loss 0.42; sound 0.0027.
"""

from typing import Any

from mutation import Mutant

from sft_ref.reference.tokens import Example, tokenize_example

PROMPT_TOKENS = 32


def broken(tokenizer: Any, question: str, value: float | str) -> Example:
    sound = tokenize_example(tokenizer, question, value)
    prompt, target = sound.input_ids[: -sound.supervised], sound.input_ids[-sound.supervised :]
    padding = (tokenizer.pad_token_id,) * (PROMPT_TOKENS - len(prompt))
    return Example((*prompt, *padding, *target), sound.supervised)


MUTANT = Mutant(
    id="prompt_padded_before_the_target",
    stage="tokens",
    checks=(),
    fault="padding tokens stand between prompt and target in training texts",
    source="no report",
    patches={"sft_ref.reference.tokens.tokenize_example": broken},
    retrain=True,
)
