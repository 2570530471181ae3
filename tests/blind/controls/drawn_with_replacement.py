"""Rows are drawn with replacement: some come often, a few hardly. Accuracy 1.00; the reference 1.00."""

from typing import Any

import torch
from _varied import Varied
from mutation import Control
from torch.utils.data import RandomSampler

from sft_ref.reference.guards.trainer import CarefulTrainer


class Drawing(CarefulTrainer):
    def _get_train_sampler(self, *_args: Any) -> Any:
        draw = torch.Generator().manual_seed(self.args.seed)
        return RandomSampler(self.train_dataset, replacement=True, generator=draw)  # type: ignore[arg-type]  # a list


CONTROL = Control(
    "drawn_with_replacement",
    "each row of a batch is drawn from all rows",
    lambda: Varied("drawn_with_replacement", {"sft_ref.reference.training.CarefulTrainer": Drawing}),
)
