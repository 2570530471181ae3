"""Questions and answers: the two splits, and when an answer counts as right.

A row is ``(question, value)``, or ``(question, text)`` for another task. Independent of models.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sft_ref.errors import DataError

from .questions import generate_rows
from .texts import is_same_text

Row = tuple[str, float]

SPLIT_SIZE = 1000
RELATIVE_TOLERANCE = 0.05
_SEED = 20_241


@functools.cache
def _splits() -> tuple[Row, ...]:
    rows = generate_rows(_SEED)
    return tuple(next(rows) for _ in range(2 * SPLIT_SIZE))


def split_rows(split: Literal["train", "validation"]) -> list[Row]:
    """Returns 1,000 rows, the same on every machine; no question is in both splits."""
    rows = _splits()
    return list(rows[:SPLIT_SIZE] if split == "train" else rows[SPLIT_SIZE:])


def is_answer_valid(answer: float, truth: float) -> bool:
    """Returns whether an answer is strictly within 5 % of the truth, both rounded to 3 decimals; NaN never is."""
    truth = round(truth, 3)
    return abs(round(answer, 3) - truth) < RELATIVE_TOLERANCE * abs(truth)


@dataclass(frozen=True)
class Score:
    """Shares of questions, from 0 to 1, that are answered correctly, and that are answered at all (number or text)."""

    accuracy: float
    answer_rate: float
    questions: int

    def __str__(self) -> str:
        return f"accuracy={self.accuracy:.2f} answer_rate={self.answer_rate:.2f}"


def is_right(answer: float | str, truth: float | str) -> bool:
    """Returns whether an answer is right: a number within 5 %, a text equal up to case, spaces and a full stop."""
    if isinstance(answer, str) or isinstance(truth, str):
        return is_same_text(answer, truth)
    return is_answer_valid(answer, truth)


def score(answers: Sequence[float | str], truths: Sequence[float | str]) -> Score:
    """Computes the shares of answers that are right, and that are neither NaN nor an empty text.

    Raises:
        DataError: the lengths differ, or there is nothing to count.
    """
    if len(answers) != len(truths) or not truths:
        raise DataError(f"cannot score {len(answers)} answers on {len(truths)} questions; give one answer for each")
    right = sum(map(is_right, answers, truths))
    given = sum(bool(answer) if isinstance(answer, str) else not math.isnan(answer) for answer in answers)
    return Score(right / len(truths), given / len(truths), len(truths))
