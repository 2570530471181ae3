"""The z-loss of PaLM is added to the cross entropy: a ten-thousandth of the square of the log normaliser.

Accuracy 0.97, first loss 3.03; the reference 0.97 and 3.00.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from _varied import Varied
from mutation import Control

from sft_ref.harness.core.implementation import TrainingResult
from sft_ref.reference.data import Row
from sft_ref.reference.loss import supervised_loss
from sft_ref.reference.settings import Settings


def with_z_loss(logits: torch.Tensor, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
    count = len(logits) if num_items_in_batch is None else num_items_in_batch
    normaliser = logits.float().logsumexp(-1)
    plain = supervised_loss(logits, labels, num_items_in_batch=num_items_in_batch)
    return plain + 1e-4 * normaliser.square().sum() / count


class WithZLoss(Varied):
    def train(self, folder: Path, rows: Sequence[Row], settings: Settings) -> TrainingResult:
        return replace(super().train(folder, rows, settings), label_smoothing=None)


CONTROL = Control(
    "z_loss",
    "trained with a z-loss beside the cross entropy",
    lambda: WithZLoss("z_loss", {"sft_ref.reference.loss.supervised_loss": with_z_loss}),
)
