"""Rows of questions and answers in the forms that fine-tunes keep them. Knows nothing of models or templates."""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sft_ref.errors import DataError
from sft_ref.io.reading import Refusal, UnreadableError, has_half_a_character, json_of, read_bytes

FORMS = (
    '[question, answer], {"question": ..., "answer": ...}, {"prompt": ..., "completion": ...}'
    ' or {"messages": [{"role": ..., "content": ...}, ...]}'
)

MOST_ROWS = 64
"""Rows that are looked at: with them Student's t of 5 is one chance in a million, and more cost time only."""

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True)
class Row:
    """One question with its true answer.

    Attributes:
        messages: (role, content) of each turn before the answer, the question last.
        answer: as the file has it, or as JSON writes the number.
        value: the answer as a number; None where it is text.
        literal: whether the question is the whole prompt as it was trained, as TRL takes a prompt that is a text.
    """

    messages: tuple[tuple[str, str], ...]
    answer: str
    value: float | None
    literal: bool = False

    @property
    def question(self) -> str:
        """What is asked last."""
        return self.messages[-1][1]


class _BadRowError(Exception):
    """What is wrong with a row, as a clause that follows its number."""


def read_rows(path: Path) -> tuple[Row, ...]:
    """The rows of a JSON or JSON lines file; of more than `MOST_ROWS`, some from all parts of the file.

    Raises:
        DataError: the file cannot be read, or a row is not understood; all rows are looked at.
    """
    rows = [_checked(path, number, row) for number, row in enumerate(_parse(path, _read(path)), start=1)]
    if not rows:
        raise DataError(f"{path}: holds no rows; each row is {FORMS}")
    count = min(len(rows), MOST_ROWS)
    return tuple(rows[n * len(rows) // count] for n in range(count))


WAYS: tuple[Callable[[float], str], ...] = (
    repr,
    *(lambda value, digits=digits: str(round(value, digits)) for digits in (3, 2, 4, 6, 1)),
    "{:.6g}".format,
)
"""Ways to write a number that training texts may have: 24.0 in place of 24, and with fewer decimals."""


def in_other_ways(rows: Sequence[Row]) -> list[tuple[Row, ...]]:
    """The same rows with their numbers written otherwise, each way that makes a difference."""
    written = [tuple(row if row.value is None else replace(row, answer=way(row.value)) for row in rows) for way in WAYS]
    return [each for n, each in enumerate(written) if each not in (tuple(rows), *written[:n])]


_REFUSAL = Refusal(DataError, f"give a file of rows, {MOST_ROWS} are enough")


def _read(path: Path) -> str:
    try:
        return read_bytes(path, _REFUSAL).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is no text in UTF-8 (byte {error.start}); give JSON or JSON lines") from error


def _parse(path: Path, text: str) -> list[Any]:
    """Rows as JSON has them."""
    try:
        whole: Any = json_of(text, object)
    except UnreadableError as error:
        lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
        if len(lines) == 1:
            raise DataError(f"{path}: cannot be read ({error}); give a list of rows, or a row a line") from error
        return [_parse_line(path, number, line) for number, line in lines]
    if isinstance(whole, list) and not (len(whole) == len(("question", "answer")) and isinstance(whole[0], str)):
        return whole
    return [whole]  # a file of one line


def _parse_line(path: Path, number: int, line: str) -> Any:  # noqa: ANN401
    try:
        return json_of(line, object)
    except UnreadableError as error:
        raise DataError(f"{path}: line {number}: {error}; give a list of rows, or a row a line") from error


def _checked(path: Path, number: int, row: object) -> Row:
    try:
        return _to_row(row)
    except _BadRowError as problem:
        raise DataError(f"{path}: row {number} {problem}; each row is {FORMS}, found {reprlib.repr(row)}") from None


def _to_row(row: object) -> Row:
    if isinstance(row, list):
        if len(row) != len(("question", "answer")):
            raise _BadRowError("is a list, but no pair")
        return _pair(row[0], row[1])
    if not isinstance(row, Mapping):
        raise _BadRowError("is neither a pair nor an object")
    if "messages" in row:
        return _from_messages(row["messages"])
    if {"prompt", "completion"} <= row.keys():
        return _from_completion(row["prompt"], row["completion"])
    if {"question", "answer"} <= row.keys():
        return _pair(row["question"], row["answer"])
    raise _BadRowError("lacks the keys of a row")


def _pair(question: object, answer: object) -> Row:
    return Row((("user", _text(question, "question")),), *_answer(answer))


def _from_completion(prompt: object, completion: object) -> Row:
    if isinstance(prompt, list) and isinstance(completion, list):
        return _from_messages([*prompt, *completion])
    if isinstance(prompt, str):
        return Row((("user", _text(prompt, "prompt")),), *_answer(completion), literal=True)
    raise _BadRowError("has a prompt and a completion that are not both texts or both lists of messages")


def _from_messages(messages: object) -> Row:
    """The last turn of the assistant is the answer; what stands behind it is left out."""
    if not isinstance(messages, list):
        raise _BadRowError("has messages that are no list")
    turns = [_turn(message) for message in messages]
    last = max((n for n, (role, _) in enumerate(turns) if role == "assistant"), default=0)
    if not last:
        raise _BadRowError("has no assistant turn that answers an earlier one")
    return Row(tuple((role, _text(content, role)) for role, content in turns[:last]), *_answer(turns[last][1]))


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
        raise _BadRowError(f"has an empty {what}, or one that is no text")
    if has_half_a_character(value):
        raise _BadRowError(f"has half a character (a lone surrogate) in its {what}")
    return value


def _answer(value: object) -> tuple[str, float | None]:
    """The answer as text, and as a number where it is one."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        written = repr(value)
        if not _is_finite(written):
            raise _BadRowError("has an answer that is not finite")
        return written, float(written)
    text = _text(value, "answer")
    return text, float(text) if _NUMBER.fullmatch(text.strip()) and _is_finite(text) else None


def _is_finite(text: str) -> bool:
    return math.isfinite(float(text))
