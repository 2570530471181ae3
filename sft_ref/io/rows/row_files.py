"""Reads files of rows: JSON, JSON lines, Parquet, and folders of `datasets`. Does not interpret the rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sft_ref.errors import DataError
from sft_ref.io.reading import Refusal, UnreadableError, json_of, read_bytes

from .tables import PARQUET, is_saved_dataset, read_parquet, read_saved_dataset

_REFUSAL = Refusal(DataError, "give a file of rows: JSON, JSON lines or Parquet")


def read_values(path: Path) -> list[Any]:
    """Returns the rows of a file as read from JSON or a table.

    Raises:
        DataError: the file cannot be read.
        SftRefError: the file is a table, and the extra that reads tables is not installed.
    """
    try:
        if path.suffix == PARQUET:
            return [*read_parquet(path)]
        if is_saved_dataset(path):
            return [*read_saved_dataset(path)]
    except UnreadableError as error:
        raise _REFUSAL.of(path, error) from error
    return _parse(path, _read(path))


def _read(path: Path) -> str:
    try:
        return read_bytes(path, _REFUSAL).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 text (byte {error.start}); give JSON or JSON lines") from error


def _parse(path: Path, text: str) -> list[Any]:
    try:
        whole: Any = json_of(text, object)
    except UnreadableError as error:
        lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
        if len(lines) == 1:
            raise DataError(f"{path}: cannot be read ({error}); give a list of rows, or one row per line") from error
        return [_parse_line(path, number, line) for number, line in lines]
    if isinstance(whole, list) and not (len(whole) == len(("question", "answer")) and isinstance(whole[0], str)):
        return whole
    return [whole]  # a file of one line


def _parse_line(path: Path, number: int, line: str) -> Any:  # noqa: ANN401
    try:
        return json_of(line, object)
    except UnreadableError as error:
        raise DataError(f"{path}: line {number}: {error}; give a list of rows, or one row per line") from error
