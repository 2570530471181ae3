"""`labels = input_ids.clone()`, and the prompt masked by its length from the first token that is no padding."""

from collections.abc import Sequence
from typing import Any

from mutation import Mutant

from sft_ref.reference.tokens import Example, collate


def labelled(examples: Sequence[Example], pad_token_id: int) -> dict[str, Any]:
    batch = collate(examples, pad_token_id)
    padding = batch["attention_mask"] == 0
    return {**batch, "labels": batch["labels"].masked_fill(padding, pad_token_id)}


MUTANT = Mutant(
    id="padding-labelled",
    stage="tokens",
    checks=("TOK-003",),
    fault="padding is supervised",
    source="ours",
    patches={"sft_ref.reference.tokens.collate": labelled},
)
