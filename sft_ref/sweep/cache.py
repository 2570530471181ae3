"""The folder in which an unfinished sweep keeps what it has: whole files only, and only of one and the same sweep."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any, TypeVar

from sft_ref.errors import OutputError
from sft_ref.io.reading import Refusal, kind_of, read_json
from sft_ref.reference import adapter

from .cell import Cell, Training

T = TypeVar("T")

_NOTE = "sweep.json"


class SweepCache:
    """What an unfinished sweep has done so far.

    Args:
        folder: where; made if it is not there.
        conditions: all that decides the figures, as JSON holds it.

    Raises:
        OutputError: the folder holds something else, or a sweep of other conditions.
    """

    def __init__(self, folder: Path, conditions: dict[str, Any]) -> None:
        self.folder = folder
        note = folder / _NOTE
        adapter.check_can_be_named(folder)
        with adapter.disk_errors(folder):
            is_begun = kind_of(note) is not None
            if kind_of(folder) and not is_begun and (kind_of(folder) != "folder" or any(folder.iterdir())):
                raise OutputError(f"{folder} exists and holds no sweep; choose another folder, or move it away")
            if is_begun:
                begun = self._read(note, dict[str, Any])
                if changed := [key for key in conditions if begun.get(key) != conditions[key]]:
                    raise OutputError(
                        f"{folder} holds an unfinished sweep with another {', '.join(changed)};"
                        " repeat its settings to go on, or delete it to begin anew"
                    )
            folder.mkdir(parents=True, exist_ok=True)
            _write_whole(note, conditions)

    def adapter(self, train: str) -> Path:
        """Where the adapter of a train policy goes."""
        return self.folder / train / "adapter"

    def ending(self, train: str) -> Path:
        """Where the logits and losses at the end of that training go."""
        return self.folder / train / "ending.safetensors"

    def training(self, train: str) -> Training | None:
        """The figures of a training that is done."""
        path = self.folder / train / "training.json"
        return self._read(path, Training) if kind_of(path) else None

    def keep_training(self, train: str, training: Training) -> None:
        """Says that a training is done; its adapter and ending must be there."""
        with adapter.disk_errors(self.folder):
            _write_whole(self.folder / train / "training.json", vars(training))

    def cell(self, train: str, load: str) -> Cell | None:
        """A cell that is done."""
        path = self.folder / train / f"{load}.cell.json"
        return self._read(path, Cell) if kind_of(path) else None

    def keep(self, cell: Cell) -> None:
        """Writes a cell, whole or not at all."""
        with adapter.disk_errors(self.folder):
            _write_whole(self.folder / cell.train / f"{cell.load}.cell.json", cell.to_json())

    def _read(self, path: Path, type_: type[T]) -> T:
        return read_json(path, type_, Refusal(OutputError, f"delete {self.folder} to begin anew"))

    def forget(self) -> None:
        """Removes all of it: the sweep is finished."""
        shutil.rmtree(self.folder)


def source_digest() -> str:
    """SHA-256 of this package's own code, so that no cell outlives the code that made it."""
    package = Path(__file__).parents[1]
    total = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        total.update(str(path.relative_to(package)).encode() + path.read_bytes())
    return total.hexdigest()


def _write_whole(path: Path, found: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.new")
    scratch.write_text(json.dumps(found, indent=1, allow_nan=False), encoding="utf-8")
    scratch.replace(path)
