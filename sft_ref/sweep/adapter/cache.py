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
    """What the other ways are compared with.

    Attributes:
        rows: questions and answers, with numbers written as the adapter writes them.
        observed: of the first way.
    """

    rows: tuple[Row, ...]
    observed: Observed


class WayCache(UnfinishedSweep):
    """The figures of finished ways, and what the first one gives."""

    def read_figures(self, way: str) -> WayFigures | None:
        """The figures of a finished way."""
        return self.read(path_of(self.folder, way), WayFigures)

    def write_figures(self, found: WayFigures) -> None:
        """Stores the figures of a finished way; `write_first` comes before the first ones."""
        self.write(path_of(self.folder, found.load), found.to_json())

    def read_first(self) -> FirstWay | None:
        """What the first way gives; None where it is not finished.

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
        """Stores what the first way gives."""
        storage.save(first, self._first)

    @property
    def _first(self) -> Path:
        return self.folder / f"first{storage.SUFFIX}"


def path_of(folder: Path, way: str) -> Path:
    """The file with the figures of a finished way, in the folder of an unfinished sweep."""
    return folder / f"{way}.way.json"
