"""The reference with label smoothing, which it declares, over 160 steps."""

import functools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from unittest import mock

import torch
from mutation import Control

from sft_ref.harness.core.implementation import TrainingResult
from sft_ref.harness.recorders.in_process.reference import Reference
from sft_ref.reference.data import Row
from sft_ref.reference.settings import Settings

SMOOTHING = 0.1
smoothed = functools.partial(torch.nn.functional.cross_entropy, label_smoothing=SMOOTHING)


class Smoothed(Reference):
    def train(self, folder: Path, rows: Sequence[Row], settings: Settings) -> TrainingResult:
        settings = replace(settings, steps=2 * settings.steps)
        with mock.patch.object(torch.nn.functional, "cross_entropy", smoothed):
            trained = super().train(folder, rows, settings)
        return replace(trained, settings=settings, label_smoothing=SMOOTHING)


CONTROL = Control(
    "label_smoothing",
    "the reference with label smoothing, which it declares, over 160 steps",
    lambda: Smoothed(name="label_smoothing"),
)
