"""The task of an implementation: rows, the judge of answers, and answers that the scripted model dictates."""

from __future__ import annotations

import functools
import math
import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from sft_ref.errors import DataError
from sft_ref.harness.core.findings import NotGiven, Unavailable
from sft_ref.harness.core.implementation import TaskRow
from sft_ref.harness.core.judges import Judge
from sft_ref.harness.core.numerals import contains_answer, find_numerals, to_number
from sft_ref.reference.data import is_answer_valid, is_right, split_rows
from sft_ref.reference.texts import normalise

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LOSS = "loss"
"""Value of `judge` for which only losses of true answers are examined, and no answer is called right or wrong."""

FEWEST_ROWS = 32
"""Minimum number of user rows: fewer held-out rows than a quarter of it say nothing about a loss."""

_MOST_FRESH = 64
_PROBES = 8
_LONGEST_DICTATED = 32
"""Maximum tokens of a dictated text."""

NUMBERS = (1000000000000000.0, 111111.111, -987654.321, 1e22, 0.125, 999999999999.999, 24.0, -40404.0, 7070707.0)
"""Digit runs, the greatest answer of the data, negative, exponent, small and long numbers: at most 18 characters."""

LONG_NUMBERS = (1000000000000000.0, -999999999999.999, 123456789012345.0)
"""Numbers of 16 to 18 characters; with closing tag and end, they exceed a short window or small cache of new tokens."""

PROBES: tuple[tuple[str, float], ...] = (
    ("How many gram are there per 6 kg?", 6000.0),
    ("What is 7 km/h in mph?", 4.349598345661),
    ("Convert 3 TB to bits.", 24000000000000.0),
    ("What is 2 mm in m?", 0.002),
    ("What is minus three and a half?", -3.5),
    ("If I have 10 weeks, how many seconds is that?", 6048000.0),
    ("Tell me the number of miles in 9 km.", 5.592340730136006),
    ("Change 1 MB to kB.", 1000.0),
)
"""Rows with non-integer, long, small and negative answers, and prompts of different lengths."""


ZERO: TaskRow = ("What is 0 kg in g?", 0.0)
"""A row with an answer that is false as a truth value, and of which nothing is within 5 %."""


class Task(ABC):
    """Rows, and operations on their answers.

    Args:
        train_rows: rows to train implementations on.
        fresh_rows: rows that no training has seen.
        probes: eight rows, with prompts of different lengths, for the checks of texts.
        judge: decides whether an answer is right; None if only losses are examined.
        is_own: whether the rows are the user's.
        other_targets: rows whose targets are examined in addition to those of the probes.
    """

    is_text: bool
    """Whether answers are texts rather than numbers."""

    def __init__(
        self,
        train_rows: Sequence[TaskRow],
        fresh_rows: Sequence[TaskRow],
        probes: Sequence[TaskRow],
        judge: Judge | None,
        *,
        is_own: bool,
        other_targets: Sequence[TaskRow] = (),
    ) -> None:
        self.train_rows, self.fresh_rows, self.probes = [*train_rows], [*fresh_rows], tuple(probes)
        self.targets = (*self.probes, *other_targets)
        self.judge, self.is_own = judge, is_own

    def is_right(self, answer: object, truth: object) -> bool:
        """Returns whether an answer is right.

        Raises:
            NotGiven: only losses are examined.
        """
        if self.judge is None:
            raise NotGiven("answers are judged by their loss alone: give a judge of answers")
        return bool(self.judge(answer, truth))

    def require_numbers(self) -> None:
        """Requires that answers are numbers.

        Raises:
            Unavailable: answers are texts.
        """
        if self.is_text:
            raise Unavailable("the answers are texts, and any text may be an answer")

    @abstractmethod
    def contains(self, text: str, truth: Any) -> bool:  # noqa: ANN401  # a number or a text
        """Returns whether a text contains an answer, whatever surrounds it."""

    @abstractmethod
    def find(self, text: str, truth: Any) -> str | None:  # noqa: ANN401
        """Returns the answer as written in a text, or the nearest match; None if the text contains no answer."""

    @abstractmethod
    def answers_in(self, text: str, dictated: Sequence[str]) -> set[str]:
        """Returns those of the dictated answers, in the form that `find` returns, that a text contains."""

    @abstractmethod
    def script_unlikely_answers(self, count: int, tokenizer: PreTrainedTokenizerBase, seed: int = 0) -> list[Any]:
        """Returns answers for the scripted model to write that no model would give unprompted."""

    @abstractmethod
    def dictate_longest(self, tokenizer: PreTrainedTokenizerBase) -> list[Any]:
        """Returns three of the longest answers that may be dictated."""

    @abstractmethod
    def is_exactly(self, answer: object, dictated: str) -> bool:
        """Returns whether an answer from `parse_answer` equals a dictated one in the form that `find` returns."""

    @abstractmethod
    def wrong(self, truth: Any) -> Any:  # noqa: ANN401
        """Returns a wrong answer of the same kind."""


class NumberTask(Task):
    """A task whose answers are numbers."""

    is_text = False

    def contains(self, text: str, truth: float) -> bool:
        """See `Task`."""
        return contains_answer(text, truth)

    def find(self, text: str, truth: float) -> str | None:
        """See `Task`."""
        return min(find_numerals(text), key=lambda numeral: abs(to_number(numeral) - truth), default=None)

    def answers_in(self, text: str, dictated: Sequence[str]) -> set[str]:
        """See `Task`."""
        return {*find_numerals(text)} & {*dictated}

    def script_unlikely_answers(self, count: int, tokenizer: PreTrainedTokenizerBase, seed: int = 0) -> list[float]:
        """See `Task`."""
        return [NUMBERS[n % len(NUMBERS)] for n in range(count)]

    def dictate_longest(self, tokenizer: PreTrainedTokenizerBase) -> list[float]:
        """See `Task`."""
        return [*LONG_NUMBERS]

    def is_exactly(self, answer: object, dictated: str) -> bool:
        """See `Task`."""
        return answer == to_number(dictated)

    def wrong(self, truth: float) -> float:
        """See `Task`."""
        return -2 * truth - 1


class TextTask(Task):
    """A task whose answers are texts."""

    is_text = True

    def contains(self, text: str, truth: str) -> bool:
        """See `Task`."""
        return normalise(truth) in normalise(text)

    def find(self, text: str, truth: str) -> str | None:
        """See `Task`."""
        return truth if self.contains(text, truth) else None

    def answers_in(self, text: str, dictated: Sequence[str]) -> set[str]:
        """See `Task`."""
        held = {each for each in dictated if self.contains(text, each)}
        return {each for each in held if not any(each != other and self.contains(other, each) for other in held)}

    def script_unlikely_answers(self, count: int, tokenizer: PreTrainedTokenizerBase, seed: int = 0) -> list[str]:
        """See `Task`: strings of random tokens, at most as long as the longest true answer."""
        rng, words = random.Random(seed), _words_of(tokenizer)
        answers = [str(truth) for _, truth in self.train_rows]
        longest = max(len(tokenizer(answer, add_special_tokens=False)["input_ids"]) for answer in answers)
        most = max(2, min(longest // 2, _LONGEST_DICTATED))
        return [" ".join(rng.choices(words, k=most - n % 2)) for n in range(count)]

    def dictate_longest(self, tokenizer: PreTrainedTokenizerBase) -> list[str]:
        """See `Task`."""
        return self.script_unlikely_answers(3, tokenizer, seed=14)

    def is_exactly(self, answer: object, dictated: str) -> bool:
        """See `Task`."""
        return is_right(cast("str", answer), dictated)

    def wrong(self, truth: str) -> str:
        """See `Task`: the answer of another row.

        Raises:
            Unavailable: no row has an answer that is wrong for this one.
        """
        judge, rows = self.judge or is_right, [*self.fresh_rows, *self.train_rows]
        begin = next((n for n, (_, answer) in enumerate(rows) if answer == truth), 0)
        others = (str(answer) for _, answer in [*rows[begin:], *rows[:begin]] if not judge(answer, truth))
        if (other := next(others, None)) is None:
            raise Unavailable("no row has an answer that is wrong for another row")
        return other


def _words_of(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Returns tokens that are words of ASCII letters; if there are few, the letters themselves."""
    texts = {str(tokenizer.decode([n])).strip() for n in range(len(tokenizer))}
    words = sorted(text for text in texts if text.isalpha() and text.isascii() and len(text) > 2)  # noqa: PLR2004
    return words if len(words) > _LONGEST_DICTATED else [*"abcdefghijklmnopqrstuvwxyz"]


@functools.cache
def conversions() -> Task:
    """Returns the unit conversions task: 1,000 rows to train on, 64 fresh ones."""
    train_rows, fresh_rows = split_rows("train"), split_rows("validation")[-64:]
    return NumberTask(train_rows, fresh_rows, PROBES, is_answer_valid, is_own=False, other_targets=[ZERO])


def task_of(rows: Sequence[TaskRow], judge: Judge | str | None = None) -> Task:
    """Returns the task for user rows: numbers if every answer is a number, texts if every answer is a text.

    The last quarter of the rows, at most 64, is held out.

    Args:
        rows: (question, answer) pairs.
        judge: function of an answer and the true one that decides whether it is right, or ``loss`` to judge no answer;
            the default accepts numbers within 5 %, and texts that differ only in case, spaces or a full stop.

    Raises:
        DataError: there are too few rows, a row is malformed, or some answers are numbers and others texts.
    """
    if isinstance(judge, str) and judge != LOSS:
        raise DataError(f"judge: is {judge!r}; give a function that takes an answer and the true answer, or {LOSS!r}")
    if len(rows) < FEWEST_ROWS:
        raise DataError(f"rows: there are {len(rows)}; give {FEWEST_ROWS} or more, a quarter of which is held out")
    kinds = [_kind_of(number, row) for number, row in enumerate(rows, start=1)]
    if other := next((n for n, kind in enumerate(kinds, start=1) if kind is not kinds[0]), 0):
        raise DataError(f"rows: row {other} has another kind of answer than row 1; give numbers alone, or texts alone")
    default = is_answer_valid if kinds[0] is NumberTask else is_right
    fresh = min(_MOST_FRESH, len(rows) // 4)
    rule = None if judge == LOSS else judge or default
    return kinds[0](rows[:-fresh], rows[-fresh:], rows[:_PROBES], rule, is_own=True)  # type: ignore[arg-type]


def _kind_of(number: int, row: TaskRow) -> type[NumberTask | TextTask]:
    if not (isinstance(row, (tuple, list)) and len(row) == len(("question", "answer")) and isinstance(row[0], str)):
        raise DataError(f"rows: row {number} is not a pair of a question and an answer")
    question, answer = row
    is_number = isinstance(answer, (int, float)) and not isinstance(answer, bool) and math.isfinite(answer)
    if not question.strip() or not (is_number or (isinstance(answer, str) and answer.strip())):
        raise DataError(f"rows: row {number} has an empty question, or an answer that is neither a number nor a text")
    return NumberTask if is_number else TextTask
