"""The reference with rank 4 and alpha 32."""

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
        settings = replace(settings, rank=4, alpha=32)
        return replace(super().train(folder, rows, settings), settings=settings)


CONTROL = Control(
    "another_rank_and_alpha",
    "the reference with rank 4 and alpha 32",
    lambda: Adjusted(name="another_rank_and_alpha"),
)
