"""Batches of half the size in the first half of training; each epoch still has every row once.

Accuracy 0.97; the reference 0.97.
"""

from __future__ import annotations

from typing import Any

import torch
from mutation import Control
from plain_loop import PLAIN, PlainLoop

from sft_ref.reference.settings import Settings


class Growing(PlainLoop):
    def _draw(self, texts: list[Any], step: int, settings: Settings) -> list[Any]:
        half, size = settings.steps // 2, settings.batch_size
        small = max(1, size // 2)
        start = min(step, half) * small + max(0, step - half) * size
        drawn: list[Any] = []
        for place in range(start, start + (small if step < half else size)):
            epoch, i = divmod(place, len(texts))
            generator = torch.Generator().manual_seed(settings.seed + epoch)
            drawn.append(texts[int(torch.randperm(len(texts), generator=generator)[i])])
        return drawn


CONTROL = Control(
    "batch_grows",
    "the batch doubles half way through training",
    lambda: Growing("batch_grows", convention=PLAIN),
)
