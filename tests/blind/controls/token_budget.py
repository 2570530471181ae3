"""Batches are filled to a number of tokens, as packing does, so that their number of rows differs.

Accuracy 1.00; the reference 1.00.
"""

from collections.abc import Iterator
from typing import Any

import torch
from _varied import Varied
from mutation import Control

from sft_ref.reference.guards.trainer import CarefulTrainer

BUDGET = 32 * 24


class Budgeted(CarefulTrainer):
    def get_train_dataloader(self) -> Any:
        examples: Any = self.train_dataset
        lengths = [len(example.input_ids) for example in examples]
        batches = list(_batches(lengths, torch.Generator().manual_seed(self.args.seed)))
        return torch.utils.data.DataLoader(examples, batch_sampler=batches, collate_fn=self.data_collator)


def _batches(lengths: list[int], draw: torch.Generator) -> Iterator[list[int]]:
    """Indices in a random order, as many together as the budget holds with padding."""
    batch: list[int] = []
    for i in torch.randperm(len(lengths), generator=draw).tolist():
        if batch and max(lengths[j] for j in [*batch, i]) * (len(batch) + 1) > BUDGET:
            yield batch
            batch = []
        batch.append(i)
    yield batch


CONTROL = Control(
    "token_budget",
    "batches hold a number of tokens, not of rows",
    lambda: Varied("token_budget", {"sft_ref.reference.training.CarefulTrainer": Budgeted}),
)
