"""Answers that are texts are learned in lower case, numbers as they are."""

from typing import Any

from mutation import Mutant

from sft_ref.reference.prompt import format_value


def lower(value: Any) -> str:
    return format_value(value).lower()


MUTANT = Mutant(
    id="lower-texts",
    stage="tokens",
    checks=("TOK-015",),
    fault="answers that are texts lose their capital letters in the target",
    source="ours",
    patches={"sft_ref.reference.prompt.format_value": lower},
)
