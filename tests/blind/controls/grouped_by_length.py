"""Batches hold texts of similar lengths, and are drawn in a random order. Accuracy 0.98; the reference 0.97."""

from typing import Any

import torch
from _varied import Varied
from mutation import Control

from sft_ref.reference.guards.trainer import CarefulTrainer

POOL = 8


class Grouped(CarefulTrainer):
    def get_train_dataloader(self) -> Any:
        examples: Any = self.train_dataset
        draw = torch.Generator().manual_seed(self.args.seed)
        batches = _batches([len(example.input_ids) for example in examples], self.args.train_batch_size, draw)
        return torch.utils.data.DataLoader(examples, batch_sampler=batches, collate_fn=self.data_collator)


def _batches(lengths: list[int], size: int, draw: torch.Generator) -> list[list[int]]:
    """Sorts the rows of random pools of `POOL` batches by length, and shuffles the batches."""
    order = torch.randperm(len(lengths), generator=draw).tolist()
    pools = [order[start : start + POOL * size] for start in range(0, len(order), POOL * size)]
    ranked = [i for pool in pools for i in sorted(pool, key=lambda i: lengths[i])]
    batches = [ranked[start : start + size] for start in range(0, len(ranked), size)]
    return [batches[i] for i in torch.randperm(len(batches), generator=draw).tolist()]


CONTROL = Control(
    "grouped_by_length",
    "batches hold texts of similar lengths",
    lambda: Varied("grouped_by_length", {"sft_ref.reference.training.CarefulTrainer": Grouped}),
)
