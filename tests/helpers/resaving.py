"""The reference whose training is replaced by a finished one: what it saves is real, and takes no time to train."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from sft_ref.harness.core.implementation import TaskRow, TrainingResult
from sft_ref.harness.recorders.in_process.recorder import SETTINGS
from sft_ref.harness.recorders.in_process.reference import Reference
from sft_ref.reference import training
from sft_ref.reference.guards.progress import Step
from sft_ref.reference.settings import Settings


class Resaving(Reference):
    """A reference whose training skips the optimizer steps and saves a given adapter instead.

    Args:
        learned: result of a training with `recorder.SETTINGS`; trainings with other settings take real steps.
    """

    def __init__(self, learned: TrainingResult, name: str) -> None:
        super().__init__(name=name)
        self.learned = learned

    def train(self, folder: Path, rows: Sequence[TaskRow], settings: Settings) -> TrainingResult:
        """See `Implementation`."""
        if settings != SETTINGS:
            return super().train(folder, rows, settings)

        def put(model: Any, *_args: Any, **_kwargs: Any) -> list[Step]:  # noqa: ANN401
            from peft import set_peft_model_state_dict

            set_peft_model_state_dict(model, dict(self.learned.adapter))
            model.eval()
            return [Step(step, loss, 0.0, 0.0) for step, loss in enumerate(self.learned.losses, start=1)]

        with mock.patch.object(training, "fit", put):
            return super().train(folder, rows, settings)
