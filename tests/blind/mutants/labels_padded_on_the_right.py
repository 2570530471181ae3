"""Ids are padded on the left and labels on the right, so that the labels of shorter rows come too early.

Accuracy 0.00; sound 0.97. Last loss 7.17; sound 0.0027.
"""

from collections.abc import Sequence

import torch
from mutation import Mutant

from sft_ref.reference.tokens import IGNORE_INDEX, Example, collate


def broken(examples: Sequence[Example], pad_token_id: int) -> dict[str, torch.Tensor]:
    batch = collate(examples, pad_token_id)
    labels = torch.full_like(batch["labels"], IGNORE_INDEX)
    for row, example in enumerate(examples):
        end = len(example.input_ids)
        labels[row, end - example.supervised : end] = torch.tensor(example.input_ids[-example.supervised :])
    return {**batch, "labels": labels}


MUTANT = Mutant(
    id="labels_padded_on_the_right",
    stage="tokens",
    checks=(),
    fault="labels are padded on the other side than the ids",
    source="no report",
    patches={"sft_ref.reference.tokens.collate": broken},
    retrain=True,
)
