"""Stores the finished ways of an unfinished sweep over one adapter, so that it can continue."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sft_ref.errors import EvidenceError
from sft_ref.harness.evidence import storage
from sft_ref.io.reading import kind_of
from sft_ref.io.rows.forms import Row
from sft_ref.sweep.cache import UnfinishedSweep

from .figures import WayFigures
from .measure import Observed


@dataclass(frozen=True)
class FirstWay:
    """The first way to load, with which the other ways are compared.

    Attributes:
        rows: questions and answers, with numbers in the adapter's format.
        observed: observation of the first way.
    """

    rows: tuple[Row, ...]
    observed: Observed


class WayCache(UnfinishedSweep):
    """The figures of finished ways, and the observation of the first one."""

    def read_figures(self, way: str) -> WayFigures | None:
        """Returns the figures of a finished way; None if it is not finished."""
        return self.read(path_of(self.folder, way), WayFigures)

    def write_figures(self, found: WayFigures) -> None:
        """Stores the figures of a finished way; call `write_first` before the first call."""
        self.write(path_of(self.folder, found.load), found.to_json())

    def read_first(self) -> FirstWay | None:
        """Returns the first way; None if it is not finished.

        Raises:
            OutputError: the file cannot be read.
        """
        if not kind_of(self._first):
            return None
        try:
            return storage.load(self._first, FirstWay)
        except EvidenceError as error:
            raise self.refusal.of(self._first, error) from error

    def write_first(self, first: FirstWay) -> None:
        """Stores the first way."""
        storage.save(first, self._first)

    @property
    def _first(self) -> Path:
        return self.folder / f"first{storage.SUFFIX}"


def path_of(folder: Path, way: str) -> Path:
    """Returns the path of a finished way's figures in the folder of an unfinished sweep."""
    return folder / f"{way}.way.json"
