"""The padding token is the end token, so the end is never supervised."""

from collections.abc import Sequence
from typing import Any

from mutation import Mutant

from sft_ref.reference.tokens import IGNORE_INDEX, Example, collate


def by_token(examples: Sequence[Example], pad_token_id: int) -> dict[str, Any]:
    batch = collate(examples, pad_token_id)
    return {**batch, "labels": batch["labels"].masked_fill(batch["input_ids"] == pad_token_id, IGNORE_INDEX)}


MUTANT = Mutant(
    id="M1",
    stage="tokens",
    checks=("TOK-007",),
    fault="labels that equal the padding token are ignored, the end of every text with them",
    source="transformers#23530, trl#976",
    patches={"sft_ref.reference.tokens.collate": by_token},
)
