"""Training batches are padded on the right, prompts at inference on the left. Accuracy 1.00; the reference 1.00."""

from collections.abc import Sequence
from typing import Any
from unittest import mock

import torch
from _varied import Varied
from mutation import Control

from sft_ref.harness.core.implementation import Batch
from sft_ref.reference.tokens import Example, collate


def right(examples: Sequence[Example], pad_token_id: int) -> dict[str, torch.Tensor]:
    batch = collate(examples, pad_token_id)
    padding = (batch["attention_mask"] == 0).sum(1).tolist()
    return {
        name: torch.stack([row.roll(-count) for row, count in zip(each, padding, strict=True)])
        for name, each in batch.items()
    }


PATCHES = {"sft_ref.reference.tokens.collate": right}


class RightPadded(Varied):
    def training_batch(self, rows: Sequence[Any]) -> Batch:
        with mock.patch("sft_ref.reference.tokens.collate", right):
            return super().training_batch(rows)


CONTROL = Control(
    "right_padded",
    "training batches are padded on the right",
    lambda: RightPadded("right_padded", PATCHES),
)
