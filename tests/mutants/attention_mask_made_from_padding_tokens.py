"""The padding token is the end token, so the end is supervised but not attended."""

from collections.abc import Sequence
from typing import Any

from mutation import Mutant

from sft_ref.reference.tokens import Example, collate


def by_token(examples: Sequence[Example], pad_token_id: int) -> dict[str, Any]:
    batch = collate(examples, pad_token_id)
    return {**batch, "attention_mask": (batch["input_ids"] != pad_token_id).long()}


MUTANT = Mutant(
    id="M1-mask",
    stage="tokens",
    checks=("TOK-003", "TOK-007", "TOK-010"),
    fault="attention is masked where a token equals the padding token, the end of every text with it",
    source="trl#6357",
    patches={"sft_ref.reference.tokens.collate": by_token},
)
