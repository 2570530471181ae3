"""Training batches are padded to a multiple of 64 tokens. Accuracy 1.00; the reference 1.00."""

from collections.abc import Sequence
from typing import Any
from unittest import mock

import torch
from _varied import Varied
from mutation import Control

from sft_ref.harness.core.implementation import Batch
from sft_ref.reference.tokens import IGNORE_INDEX, Example, collate

MULTIPLE = 64


def padded(examples: Sequence[Example], pad_token_id: int) -> dict[str, torch.Tensor]:
    batch = collate(examples, pad_token_id)
    missing = -batch["input_ids"].shape[1] % MULTIPLE
    values = {"input_ids": pad_token_id, "labels": IGNORE_INDEX}
    return {
        name: torch.nn.functional.pad(tensor, (missing, 0), value=values.get(name, 0)) for name, tensor in batch.items()
    }


class Padded(Varied):
    def training_batch(self, rows: Sequence[Any]) -> Batch:
        with mock.patch("sft_ref.reference.tokens.collate", padded):
            return super().training_batch(rows)


CONTROL = Control(
    "padded_to_a_multiple",
    "training batches are padded to a multiple of 64 tokens",
    lambda: Padded("padded_to_a_multiple", {"sft_ref.reference.tokens.collate": padded}),
)
