"""Reads rows from a file, and refuses rows that are not a question with a finite number or a text as answer."""

import math
import reprlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

from sft_ref.errors import DataError
from sft_ref.io.reading import has_half_a_character, shortened
from sft_ref.io.rows.forms import as_number, as_pair
from sft_ref.io.rows.row_files import read_values

AnyRow = tuple[str, float | str]
"""A question and its answer, a number or a text."""

_WRITTEN = "{question} <answer>{answer}</answer>"
"""Format by which a row that is one text is split: that of the reference."""


def load_rows(path: str | Path) -> list[AnyRow]:
    """Reads rows from a file, JSON, JSON lines or Parquet, in the forms that docs/data.md lists.

    In a row of several turns, the question joins the texts of all turns before the answer, one per line.

    Raises:
        DataError: the file cannot be read, or a row is not a question with a finite number or a text as answer.
    """
    rows = [
        as_pair(Path(path), number, row, _WRITTEN) if isinstance(row, Mapping) else row
        for number, row in enumerate(read_values(Path(path)), start=1)
    ]
    return check_rows(rows, where=shortened(path))


def check_rows(rows: Iterable[object], *, where: str = "rows") -> list[AnyRow]:
    """Returns the rows as (question, answer); an error names the first bad row, counted from 1.

    The answers are numbers if each is a number, or a text that represents one; else they are texts.

    Raises:
        DataError: a row is not a pair, its question is empty, its answer is neither a finite number nor a text, or some
            answers are numbers and others texts.
    """
    checked: list[tuple[str, float | str]] = []
    for number, row in enumerate(rows, start=1):
        problem = _problem(row)
        if problem:
            raise DataError(
                f"{where}: row {number} {problem}; each row is [question, answer], found {reprlib.repr(row)}"
            )
        checked.append(cast("tuple[str, float | str]", tuple(cast("Iterable[object]", row))))
    if not checked:
        raise DataError(f"{where}: holds no rows; give a list of [question, answer]")
    answers = [as_number(answer) if isinstance(answer, str) else float(answer) for _, answer in checked]
    if None not in answers:
        return [(question, cast("float", answer)) for (question, _), answer in zip(checked, answers, strict=True)]
    number = next((n for n, (_, answer) in enumerate(checked, start=1) if not isinstance(answer, str)), 0)
    if number:
        text = answers.index(None) + 1
        raise DataError(
            f"{where}: row {text} has a text for an answer, and row {number} a number; give only numbers, or only texts"
        )
    return [(question, str(answer)) for question, answer in checked]


def _problem(row: object) -> str:
    if not isinstance(row, (list, tuple)) or len(row) != len(("question", "answer")):
        return "is not a pair"
    question, answer = row
    if not isinstance(question, str) or not question.strip():
        return "has an empty question"
    if has_half_a_character(question):
        return "has half a character (a lone surrogate) in its question"
    return _problem_of_text(answer) if isinstance(answer, str) else _problem_of_number(answer)


def _problem_of_text(answer: str) -> str:
    if has_half_a_character(answer):
        return "has half a character (a lone surrogate) in its answer"
    return "" if answer.strip() else "has an empty answer"


def _problem_of_number(answer: object) -> str:
    if isinstance(answer, bool) or not isinstance(answer, (int, float)):
        return "has an answer that is neither a number nor a text"
    try:
        finite = math.isfinite(answer)
    except OverflowError:  # an integer beyond the range of a float
        finite = False
    return "" if finite else "has an answer that is not finite"
