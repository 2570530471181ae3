"""Reads rows from a file, and refuses those that are not a question with a finite number."""

import math
import reprlib
from collections.abc import Iterable
from pathlib import Path
from typing import cast

from sft_ref.errors import DataError
from sft_ref.io.reading import Refusal, has_half_a_character, read_json, shortened


def load_rows(path: str | Path) -> list[tuple[str, float]]:
    """Reads rows from a JSON file that holds a list of ``[question, number]``.

    Raises:
        DataError: the file cannot be read, or a row is not a question and a finite number.
    """
    rows = read_json(path, object, Refusal(DataError, "give a list of [question, number]"))
    if not isinstance(rows, list):
        raise DataError(f"{shortened(path)}: holds no rows; give a list of [question, number]")
    return check_rows(rows, where=shortened(path))


def check_rows(rows: Iterable[object], *, where: str = "rows") -> list[tuple[str, float]]:
    """Returns the rows as (question, value); an error names the first bad one, counted from 1.

    Raises:
        DataError: a row is not a pair, its question is empty, or its value is not a finite number.
    """
    checked: list[tuple[str, float]] = []
    for number, row in enumerate(rows, start=1):
        problem = _problem(row)
        if problem:
            raise DataError(
                f"{where}: row {number} {problem}; each row is [question, number], found {reprlib.repr(row)}"
            )
        question, value = cast("tuple[str, float]", row)
        checked.append((question, float(value)))
    if not checked:
        raise DataError(f"{where}: holds no rows; give a list of [question, number]")
    return checked


def _problem(row: object) -> str:
    if not isinstance(row, (list, tuple)) or len(row) != len(("question", "value")):
        return "is not a pair"
    question, value = row
    if not isinstance(question, str) or not question.strip():
        return "has an empty question"
    if has_half_a_character(question):
        return "has half a character (a lone surrogate) in its question"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "has a value that is not a number"
    try:
        finite = math.isfinite(value)
    except OverflowError:  # an integer beyond the range of a float
        finite = False
    return "" if finite else "has a value that is not finite"
