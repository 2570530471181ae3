"""Parses rows of questions and answers in the usual forms of fine-tuning data. Independent of models and templates."""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sft_ref.errors import DataError
from sft_ref.io.reading import has_half_a_character

from .row_files import read_values

FORMS = (
    '[question, answer], {"question": ..., "answer": ...}, {"prompt": ..., "completion": ...},'
    ' {"messages": [{"role": ..., "content": ...}, ...]} or {"text": ...}'
)

MOST_ROWS = 64
"""Most rows that are examined: with them, a Student's t of 5 has one chance in a million; more rows only cost time."""

QUESTION, ANSWER = "{question}", "{answer}"
"""Placeholders in the text of --prompt."""

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True)
class Row:
    """One question with its true answer.

    Attributes:
        messages: (role, content) of each turn before the answer, the question last.
        answer: the answer as the file has it; a number as JSON writes it.
        value: the answer as a number; None if it is text.
        literal: whether the question is the whole prompt as trained, which is how TRL treats a prompt that is a text.
        number: number of the row in its file, from 1.
        whole: a training text whose answer cannot be located; empty if question and answer are known.
        in_parts: whether a content was a list of parts, ``[{"type": "text", "text": ...}]``; they are joined here.
    """

    messages: tuple[tuple[str, str], ...]
    answer: str
    value: float | None
    literal: bool = False
    number: int = 0
    whole: str = ""
    in_parts: bool = False

    @property
    def question(self) -> str:
        """The content of the last message."""
        return self.messages[-1][1]


class _BadRowError(Exception):
    """A row cannot be understood; the message is a clause that follows its number."""


def read_rows(path: Path, *, prompt: str | None = None) -> tuple[Row, ...]:
    """Returns the rows of a file, or `MOST_ROWS` rows from all parts of a file that has more.

    Args:
        path: file path: JSON, JSON lines or Parquet, or a folder saved by `datasets`.
        prompt: format of the texts, with ``{question}`` and ``{answer}``; it splits rows that are one text.

    Raises:
        DataError: the file cannot be read, or any row of the file is not understood.
    """
    return some([_complete(path, row) for row in read_all_rows(path, prompt=prompt)], MOST_ROWS)


def read_row(path: Path, number: int, *, prompt: str | None = None) -> tuple[Row, int]:
    """Returns one row of a file, and the number of rows; does not examine the other rows.

    Args:
        path: file path.
        number: number of the row, from 1.
        prompt: as for `read_rows`.

    Raises:
        DataError: the file cannot be read, has no such row, or the row is not understood.
    """
    values = read_values(path)
    if not 1 <= number <= len(values):
        raise DataError(f"{path}: holds rows 1 to {len(values)}, and row {number} is asked for; give one of them")
    return _complete(path, _checked(path, number, values[number - 1], prompt)), len(values)


def read_all_rows(path: Path, *, prompt: str | None = None) -> tuple[Row, ...]:
    """Returns all rows of a file, including rows with an empty answer, and texts whose answer cannot be located.

    Args:
        path: file path.
        prompt: as for `read_rows`.

    Raises:
        DataError: the file cannot be read, or a row is not understood.
    """
    return rows_of(path, read_values(path), prompt=prompt)


def rows_of(path: Path, values: Sequence[object], *, prompt: str | None = None) -> tuple[Row, ...]:
    """Parses rows that `read_values` returned; else like `read_all_rows`."""
    rows = [_checked(path, number, row, prompt) for number, row in enumerate(values, start=1)]
    if not rows:
        raise DataError(f"{path}: holds no rows; each row is {FORMS}")
    return tuple(rows)


def as_pair(path: Path, number: int, row: object, prompt: str) -> tuple[str, float | str]:
    """Returns a row as question and answer; the question joins the texts of all turns before the answer.

    Args:
        path: file path, for the error message.
        number: number of the row, from 1.
        row: the row as read from JSON or a table.
        prompt: as for `read_rows`.

    Raises:
        DataError: the row is not understood.
    """
    found = _complete(path, _checked(path, number, row, prompt))
    is_number = isinstance(row, Mapping) and isinstance(row.get("answer"), (int, float)) and found.value is not None
    question = "\n".join(content for _, content in found.messages)
    return question, found.value if is_number and found.value is not None else found.answer


def as_number(text: str) -> float | None:
    """Returns the finite number that a text represents; None if it represents none."""
    return float(text) if _NUMBER.fullmatch(text.strip()) and _is_finite(text) else None


def some(rows: Sequence[Row], most: int) -> tuple[Row, ...]:
    """Returns at most `most` rows, evenly spaced."""
    count = min(len(rows), most)
    return tuple(rows[n * len(rows) // count] for n in range(count))


def _complete(path: Path, row: Row) -> Row:
    """Returns the row; raises if its question or answer is unknown."""
    if row.whole:
        raise DataError(
            f"{path}: row {row.number} is a text, which does not say where its answer begins; give --prompt, with"
            " {question} and {answer} where they stand in it"
        )
    if not row.answer.strip():
        raise DataError(f"{path}: row {row.number} has an empty answer, or one that is not a text; each row is {FORMS}")
    return row


WAYS: tuple[Callable[[float], str], ...] = (
    repr,
    *(lambda value, digits=digits: str(round(value, digits)) for digits in (3, 2, 4, 6, 1)),
    "{:.6g}".format,
)
"""Number formats that training texts may use, such as 24.0 instead of 24, or fewer decimals."""


def in_other_ways(rows: Sequence[Row]) -> list[tuple[Row, ...]]:
    """Returns copies of the rows with their numbers in other formats, one for each format that makes a difference."""
    written = [tuple(row if row.value is None else replace(row, answer=way(row.value)) for row in rows) for way in WAYS]
    return [each for n, each in enumerate(written) if each not in (tuple(rows), *written[:n])]


def _checked(path: Path, number: int, row: object, prompt: str | None) -> Row:
    try:
        return replace(_to_row(row, prompt), number=number)
    except _BadRowError as problem:
        raise DataError(f"{path}: row {number} {problem}; each row is {FORMS}, found {reprlib.repr(row)}") from None


def _to_row(row: object, prompt: str | None) -> Row:
    if isinstance(row, list):
        if len(row) != len(("question", "answer")):
            raise _BadRowError("is a list that is not a pair")
        return _pair(row[0], row[1])
    if not isinstance(row, Mapping):
        raise _BadRowError("is neither a pair nor an object")
    if row.get("messages") is not None:
        return _from_messages(row["messages"])
    if {"prompt", "completion"} <= row.keys():
        return _from_completion(row["prompt"], row["completion"])
    if {"question", "answer"} <= row.keys():
        return _pair(row["question"], row["answer"])
    if row.get("text") is not None:
        return _from_text(_text(row["text"], "text"), prompt)
    raise _BadRowError("lacks the keys of a row")


def _from_text(text: str, prompt: str | None) -> Row:
    """Splits a text in the format of --prompt into question and answer; without --prompt, keeps the whole text."""
    if prompt is None:
        return Row((), "", None, whole=text)
    before, _, rest = prompt.partition(QUESTION)
    between, _, after = rest.partition(ANSWER)
    if not between:
        raise _BadRowError("is a text that cannot be split: --prompt has nothing between {question} and {answer}")
    asked, found, answered = text.removeprefix(before).partition(between)
    answer = answered.removesuffix(after)
    if not (text.startswith(before) and found and answered.endswith(after)):
        raise _BadRowError(f"has a text that is not written as {reprlib.repr(prompt)}")
    return _pair(asked, answer)


def _pair(question: object, answer: object) -> Row:
    return Row((("user", _text(question, "question")),), *_answer(answer))


def _from_completion(prompt: object, completion: object) -> Row:
    if isinstance(prompt, list) and isinstance(completion, list):
        return _from_messages([*prompt, *completion])
    if isinstance(prompt, str):
        return Row((("user", _text(prompt, "prompt")),), *_answer(completion), literal=True)
    raise _BadRowError("has a prompt and a completion that are not both texts or both lists of messages")


def _from_messages(messages: object) -> Row:
    """Takes the last assistant turn as the answer, and omits the turns after it."""
    if not isinstance(messages, list):
        raise _BadRowError("has messages that are not a list")
    turns = [_turn(message) for message in messages]
    last = max((n for n, (role, _) in enumerate(turns) if role == "assistant"), default=0)
    if not last:
        raise _BadRowError("has no assistant turn that answers an earlier one")
    asked = tuple((role, _text(content, role)) for role, content in turns[:last])
    in_parts = any(isinstance(message.get("content"), list) for message in messages[: last + 1])
    return Row(asked, *_answer(turns[last][1]), in_parts=in_parts)


def _turn(message: object) -> tuple[str, object]:
    if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
        raise _BadRowError("has a message without a role")
    if has_half_a_character(message["role"]):
        raise _BadRowError("has half a character (a lone surrogate) in a role")
    content = message.get("content")
    if isinstance(content, list) and all(isinstance(part, Mapping) and "text" in part for part in content):
        content = "".join(str(part["text"]) for part in content)
    return message["role"], content


def _text(value: object, what: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _BadRowError(f"has an empty {what}, or one that is not a text")
    if has_half_a_character(value):
        raise _BadRowError(f"has half a character (a lone surrogate) in its {what}")
    return value


def _answer(value: object) -> tuple[str, float | None]:
    """Returns the answer as text, and as a number if it is one; the text is empty if there is no answer."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return value or "", None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        written = repr(value)
        if not _is_finite(written):
            raise _BadRowError("has an answer that is not finite")
        return written, float(written)
    text = _text(value, "answer")
    return text, as_number(text)


def _is_finite(text: str) -> bool:
    return math.isfinite(float(text))
