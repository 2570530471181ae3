"""transformers shifts labels in the loss; a second shift teaches the token after the next."""

from collections.abc import Sequence
from typing import Any

from mutation import Mutant

from sft_ref.reference.tokens import Example, collate


def shifted(examples: Sequence[Example], pad_token_id: int) -> dict[str, Any]:
    batch = collate(examples, pad_token_id)
    return {**batch, "labels": batch["labels"].roll(-1, dims=1)}


MUTANT = Mutant(
    id="M8",
    stage="tokens",
    checks=("TOK-002", "TOK-007", "TOK-009"),
    fault="labels stand one token too early",
    source="axolotl#2089",
    patches={"sft_ref.reference.tokens.collate": shifted},
)
