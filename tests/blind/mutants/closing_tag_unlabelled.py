"""The labels end with the number: neither the closing tag nor the end token is learned. Accuracy 1.00; sound 1.00."""

from collections.abc import Sequence

import torch
from mutation import Mutant

from sft_ref.reference.tokens import IGNORE_INDEX, Example, collate

CLOSING = 4
"""Tokens of the closing tag and the end."""


def broken(examples: Sequence[Example], pad_token_id: int) -> dict[str, torch.Tensor]:
    batch = collate(examples, pad_token_id)
    batch["labels"][:, -CLOSING:] = IGNORE_INDEX
    return batch


MUTANT = Mutant(
    id="closing_tag_unlabelled",
    stage="tokens",
    checks=(),
    fault="neither the closing tag nor the end token carries a label",
    source="no report",
    patches={"sft_ref.reference.tokens.collate": broken},
    retrain=True,
)
