"""Rows of questions and answers in the forms that fine-tunes keep them. Knows nothing of models or templates."""

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
"""Rows that are looked at: with them Student's t of 5 is one chance in a million, and more cost time only."""

QUESTION, ANSWER = "{question}", "{answer}"
"""Where they stand in the text of --prompt."""

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True)
class Row:
    """One question with its true answer.

    Attributes:
        messages: (role, content) of each turn before the answer, the question last.
        answer: as the file has it, or as JSON writes the number.
        value: the answer as a number; None where it is text.
        literal: whether the question is the whole prompt as it was trained, as TRL takes a prompt that is a text.
        number: of the row in its file, from 1.
        whole: a training text that does not say where its answer begins; empty where question and answer are known.
        in_parts: whether a content was a list of parts, ``[{"type": "text", "text": ...}]``; it is a text here.
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
        """What is asked last."""
        return self.messages[-1][1]


class _BadRowError(Exception):
    """What is wrong with a row, as a clause that follows its number."""


def read_rows(path: Path, *, prompt: str | None = None) -> tuple[Row, ...]:
    """The rows of a file; of more than `MOST_ROWS`, some from all parts of the file.

    Args:
        path: of the file: JSON, JSON lines or Parquet, or a folder that `datasets` saved.
        prompt: how texts are written, with ``{question}`` and ``{answer}`` in it: splits rows that are a text.

    Raises:
        DataError: the file cannot be read, or a row is not understood; all rows are looked at.
    """
    return some([_complete(path, row) for row in read_all_rows(path, prompt=prompt)], MOST_ROWS)


def read_row(path: Path, number: int, *, prompt: str | None = None) -> tuple[Row, int]:
    """One row of a file, and how many there are; no other row is looked at.

    Args:
        path: of the file.
        number: of the row, from 1.
        prompt: as for `read_rows`.

    Raises:
        DataError: the file cannot be read, has no such row, or the row is not understood.
    """
    values = read_values(path)
    if not 1 <= number <= len(values):
        raise DataError(f"{path}: holds rows 1 to {len(values)}, and row {number} is asked for; give one of them")
    return _complete(path, _checked(path, number, values[number - 1], prompt)), len(values)


def read_all_rows(path: Path, *, prompt: str | None = None) -> tuple[Row, ...]:
    """All rows of a file, also those whose answer is empty, and texts that do not say where their answer begins.

    Args:
        path: of the file.
        prompt: as for `read_rows`.

    Raises:
        DataError: the file cannot be read, or a row is not understood.
    """
    return rows_of(path, read_values(path), prompt=prompt)


def rows_of(path: Path, values: Sequence[object], *, prompt: str | None = None) -> tuple[Row, ...]:
    """As `read_all_rows`, of rows as `read_values` gives them."""
    rows = [_checked(path, number, row, prompt) for number, row in enumerate(values, start=1)]
    if not rows:
        raise DataError(f"{path}: holds no rows; each row is {FORMS}")
    return tuple(rows)


def as_pair(path: Path, number: int, row: object, prompt: str) -> tuple[str, float | str]:
    """One row of a file as question and answer; of several turns, the question is the text of all before the answer.

    Args:
        path: of the file.
        number: of the row, from 1.
        row: as JSON or a table has it.
        prompt: as for `read_rows`.

    Raises:
        DataError: the row is not understood.
    """
    found = _complete(path, _checked(path, number, row, prompt))
    is_number = isinstance(row, Mapping) and isinstance(row.get("answer"), (int, float)) and found.value is not None
    question = "\n".join(content for _, content in found.messages)
    return question, found.value if is_number and found.value is not None else found.answer


def as_number(text: str) -> float | None:
    """The finite number that a text is; None where it is none."""
    return float(text) if _NUMBER.fullmatch(text.strip()) and _is_finite(text) else None


def some(rows: Sequence[Row], most: int) -> tuple[Row, ...]:
    """At most that many rows, evenly from all parts."""
    count = min(len(rows), most)
    return tuple(rows[n * len(rows) // count] for n in range(count))


def _complete(path: Path, row: Row) -> Row:
    """A row whose question and answer are known."""
    if row.whole:
        raise DataError(
            f"{path}: row {row.number} is a text, which does not say where its answer begins; give --prompt, with"
            " {question} and {answer} where they stand in it"
        )
    if not row.answer.strip():
        raise DataError(f"{path}: row {row.number} has an empty answer, or one that is no text; each row is {FORMS}")
    return row


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


def _checked(path: Path, number: int, row: object, prompt: str | None) -> Row:
    try:
        return replace(_to_row(row, prompt), number=number)
    except _BadRowError as problem:
        raise DataError(f"{path}: row {number} {problem}; each row is {FORMS}, found {reprlib.repr(row)}") from None


def _to_row(row: object, prompt: str | None) -> Row:
    if isinstance(row, list):
        if len(row) != len(("question", "answer")):
            raise _BadRowError("is a list, but no pair")
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
    """Question and answer of a text that is written as --prompt says; the whole text where that is not known."""
    if prompt is None:
        return Row((), "", None, whole=text)
    before, _, rest = prompt.partition(QUESTION)
    between, _, after = rest.partition(ANSWER)
    if not between:
        raise _BadRowError("is a text, and --prompt has nothing between {question} and {answer} to split it at")
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
    """The last turn of the assistant is the answer; what stands behind it is left out."""
    if not isinstance(messages, list):
        raise _BadRowError("has messages that are no list")
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
        raise _BadRowError(f"has an empty {what}, or one that is no text")
    if has_half_a_character(value):
        raise _BadRowError(f"has half a character (a lone surrogate) in its {what}")
    return value


def _answer(value: object) -> tuple[str, float | None]:
    """The answer as text, and as a number where it is one; an empty text where there is none."""
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
