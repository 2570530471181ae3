"""The pattern that should find the answer is never found, as it tokenizes differently in context."""

from collections.abc import Sequence
from typing import Any

import torch
from mutation import Mutant

from sft_ref.reference.tokens import IGNORE_INDEX, Example, collate


def without_labels(examples: Sequence[Example], pad_token_id: int) -> dict[str, Any]:
    batch = collate(examples, pad_token_id)
    return {**batch, "labels": torch.full_like(batch["labels"], IGNORE_INDEX)}


MUTANT = Mutant(
    id="M4",
    stage="tokens",
    checks=("TOK-004",),
    fault="every label is -100",
    source="trl#1920, trl#1191",
    patches={"sft_ref.reference.tokens.collate": without_labels},
)
