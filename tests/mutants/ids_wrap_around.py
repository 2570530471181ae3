"""Training ids are stored in a byte, so that ids from 256 on become those of other tokens."""

from typing import Any

from mutation import Mutant

from sft_ref.reference.tokens import Example, tokenize_example


def broken(*args: Any) -> Example:
    example = tokenize_example(*args)
    return Example(tuple(token % 256 for token in example.input_ids), example.supervised)


MUTANT = Mutant(
    id="ids-wrap-around",
    stage="tokens",
    checks=("TOK-010", "TOK-012"),
    fault="ids of training texts wrap around at 256",
    source="our own; no known report",
    patches={"sft_ref.reference.tokens.tokenize_example": broken},
)
