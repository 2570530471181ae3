"""The reference with a tenth of the learning rate: it learns less, and nothing is wrong."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mutation import Control

from sft_ref.harness.core.implementation import TrainingResult
from sft_ref.harness.recorders.in_process.reference import Reference
from sft_ref.reference.data import Row
from sft_ref.reference.settings import Settings


class Adjusted(Reference):
    def train(self, folder: Path, rows: Sequence[Row], settings: Settings) -> TrainingResult:
        settings = replace(settings, learning_rate=2e-4)
        return replace(super().train(folder, rows, settings), settings=settings)


CONTROL = Control(
    "slow_settings",
    "the reference with a tenth of the learning rate: it learns less, and nothing is wrong",
    lambda: Adjusted(name="slow_settings"),
)
