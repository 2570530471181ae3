"""Stores the finished parts of an unfinished sweep, so that it can continue. Files are written atomically."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, TypeVar

from sft_ref.errors import OutputError
from sft_ref.io.atomic_write import write_atomic
from sft_ref.io.reading import Refusal, kind_of, read_json
from sft_ref.reference.guards.output_folder import check_can_be_named, disk_errors

from .cell import Cell, TrainingFigures

T = TypeVar("T")

_CONDITIONS = "sweep.json"


class UnfinishedSweep:
    """The folder of an unfinished sweep, which the same command continues.

    Args:
        folder: folder of the sweep; it is created if missing.
        conditions: everything that determines the figures, as JSON values.

    Raises:
        OutputError: the folder contains something else, or a sweep under other conditions.
    """

    def __init__(self, folder: Path, conditions: dict[str, Any]) -> None:
        self.folder = folder
        check_can_be_named(folder)
        with disk_errors(folder):
            if kind_of(folder / _CONDITIONS) is not None:
                self._check_conditions(conditions)
            elif kind_of(folder) and (kind_of(folder) != "folder" or any(folder.iterdir())):
                raise OutputError(
                    f"{folder} exists and is not the folder of a sweep; choose another folder, or move it away"
                )
        self.write(folder / _CONDITIONS, conditions)

    def read(self, path: Path, type_: type[T]) -> T | None:
        """Returns the content of a file in the folder; None if there is no such file.

        Raises:
            OutputError: the file cannot be read.
        """
        return read_json(path, type_, self.refusal) if kind_of(path) else None

    @property
    def refusal(self) -> Refusal:
        """The error for a file that cannot be read."""
        return Refusal(OutputError, f"delete {self.folder} to start again")

    def write(self, path: Path, found: dict[str, Any]) -> None:
        """Writes a file in the folder, completely or not at all."""
        with disk_errors(self.folder):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(found, indent=1, allow_nan=False))

    def remove(self) -> None:
        """Removes the folder after the sweep has finished."""
        shutil.rmtree(self.folder)

    def _check_conditions(self, conditions: dict[str, Any]) -> None:
        begun = self.read(self.folder / _CONDITIONS, dict[str, Any]) or {}
        if changed := [key for key in conditions if begun.get(key) != conditions[key]]:
            raise OutputError(
                f"{self.folder} holds an unfinished sweep with another {', '.join(changed)};"
                " repeat its settings to continue, or delete it to start again"
            )


class SweepCache(UnfinishedSweep):
    """The trainings and cells of an unfinished sweep that trains."""

    def adapter_path(self, train: str) -> Path:
        """Returns the adapter folder of a train policy."""
        return self.folder / train / "adapter"

    def trained_path(self, train: str) -> Path:
        """Returns the path of the logits and losses at the end of a training."""
        return self.folder / train / "trained.safetensors"

    def read_training(self, train: str) -> TrainingFigures | None:
        """Returns the figures of a finished training; None if it is not finished."""
        return self.read(self.folder / train / "training.json", TrainingFigures)

    def write_training(self, train: str, training: TrainingFigures) -> None:
        """Marks a training as finished, after its adapter and logits have been written."""
        self.write(self.folder / train / "training.json", vars(training))

    def read_cell(self, train: str, load: str) -> Cell | None:
        """Returns a finished cell; None if it is not finished."""
        return self.read(self.folder / train / f"{load}.cell.json", Cell)

    def write_cell(self, cell: Cell) -> None:
        """Stores a finished cell."""
        self.write(self.folder / cell.train / f"{cell.load}.cell.json", cell.to_json())
