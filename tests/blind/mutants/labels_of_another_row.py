"""A batch is sorted by length before it is padded, and its labels are not. Accuracy 0.00; sound 1.00.

At first sight it was caught by PRM-003, at the stage prompt. PRM-003 was mended by it, so that it is blind no more.
"""

from collections.abc import Sequence

import torch
from mutation import Mutant

from sft_ref.reference.tokens import IGNORE_INDEX, Example, collate


def broken(examples: Sequence[Example], pad_token_id: int) -> dict[str, torch.Tensor]:
    batch = collate(sorted(examples, key=lambda example: len(example.input_ids)), pad_token_id)
    labels = torch.full_like(batch["labels"], IGNORE_INDEX)
    for row, example in enumerate(examples):
        labels[row, -example.supervised :] = torch.tensor(example.input_ids[-example.supervised :])
    return {**batch, "labels": labels}


MUTANT = Mutant(
    id="labels_of_another_row",
    stage="tokens",
    checks=(),
    fault="rows of a batch are sorted by length, and their labels are left in the old order",
    source="no report",
    patches={"sft_ref.reference.tokens.collate": broken},
    retrain=True,
)
