"""The attention mask marks tokens that have a label, in place of tokens that are no padding: the prompt is hidden.

Accuracy 0.04 and answer rate 0.23; sound 0.97 and 1.00. Last loss 1.31; sound 0.0027.
"""

from collections.abc import Sequence

import torch
from mutation import Mutant

from sft_ref.reference.tokens import IGNORE_INDEX, Example, collate


def broken(examples: Sequence[Example], pad_token_id: int) -> dict[str, torch.Tensor]:
    batch = collate(examples, pad_token_id)
    return {**batch, "attention_mask": batch["labels"].ne(IGNORE_INDEX).long()}


MUTANT = Mutant(
    id="attention_mask_made_from_labels",
    stage="tokens",
    checks=(),
    fault="the attention mask of a training batch covers the supervised tokens only",
    source="no report",
    patches={"sft_ref.reference.tokens.collate": broken},
    retrain=True,
)
