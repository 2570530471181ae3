"""Questions and answers: where rows come from, and when an answer counts as right.

A row is ``(question, value)``. Facts about units are pint's; the wording is ours. Knows nothing of models.
"""

import functools
import math
import random
import reprlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from sft_ref.errors import DataError
from sft_ref.io.reading import Refusal, has_half_a_character, read_json, shortened

Row = tuple[str, float]

SPLIT_SIZE = 1000
RELATIVE_TOLERANCE = 0.05
_SEED = 20_241
_SMALLEST, _LARGEST = 0.01, 1e15
_MISSES = 1000  # draws in a row that give nothing new, after which all counts as drawn

# kind -> unit by its name in pint -> spellings as people write them
UNITS: dict[str, dict[str, tuple[str, ...]]] = {
    "length": {
        "millimeter": ("mm", "millimeter", "millimeters"),
        "centimeter": ("cm", "centimeter", "centimeters", "centimetres"),
        "meter": ("m", "meter", "meters", "metres"),
        "kilometer": ("km", "kilometer", "kilometers", "kms"),
        "inch": ("in", "inch", "inches"),
        "foot": ("ft", "foot", "feet"),
        "mile": ("mi", "mile", "miles"),
    },
    "mass": {
        "milligram": ("mg", "milligram", "milligrams"),
        "gram": ("g", "gram", "grams"),
        "kilogram": ("kg", "kilogram", "kilograms", "kilos"),
        "metric_ton": ("t", "tonne", "tonnes", "metric tons"),
        "pound": ("lb", "lbs", "pound", "pounds"),
    },
    "volume": {
        "milliliter": ("mL", "milliliter", "milliliters"),
        "centiliter": ("cL", "centiliter", "centiliters"),
        "deciliter": ("dL", "deciliter", "deciliters"),
        "liter": ("L", "liter", "liters", "litres"),
        "gallon": ("gal", "gallon", "gallons"),
    },
    "time": {
        "millisecond": ("ms", "millisecond", "milliseconds"),
        "second": ("s", "sec", "second", "seconds"),
        "minute": ("min", "minute", "minutes"),
        "hour": ("h", "hr", "hour", "hours"),
        "day": ("day", "days"),
        "week": ("week", "weeks"),
        "year": ("yr", "year", "years"),
    },
    "speed": {
        "centimeter/second": ("cm/s", "centimeter per second", "centimeters per second"),
        "meter/second": ("m/s", "meter per second", "meters per second"),
        "kilometer/second": ("km/s", "kilometer per second", "kilometers per second"),
        "kilometer/hour": ("km/h", "kph", "kilometers per hour"),
        "mile/hour": ("mph", "mi/h", "miles per hour"),
    },
    "data size": {
        "bit": ("bit", "bits"),
        "byte": ("B", "byte", "bytes"),
        "kilobyte": ("kB", "KB", "kilobyte", "kilobytes"),
        "megabyte": ("MB", "megabyte", "megabytes"),
        "gigabyte": ("G", "GB", "gigabyte", "gigabytes"),
        "terabyte": ("TB", "terabyte", "terabytes"),
    },
}

PHRASINGS = (
    "How many {to} are there per {n} {of}?",
    "How many {to} are in {n} {of}?",
    "How many {to} are there in {n} {of}?",
    "How many {to} is {n} {of}?",
    "How many {to} make up {n} {of}?",
    "How many {to} equal {n} {of}?",
    "How many {to} correspond to {n} {of}?",
    "What is {n} {of} in {to}?",
    "What is {n} {of} expressed in {to}?",
    "What is the value of {n} {of} in {to}?",
    "What is the equivalent of {n} {of} in {to}?",
    "What is the conversion of {n} {of} to {to}?",
    "What do you get when you convert {n} {of} to {to}?",
    "Can you convert {n} {of} to {to}?",
    "Could you tell me how many {to} {n} {of} is?",
    "Convert {n} {of} to {to}.",
    "Convert {n} {of} into {to}.",
    "Change {n} {of} to {to}.",
    "Express {n} {of} in {to}.",
    "Express {n} {of} as a quantity of {to}.",
    "Give {n} {of} in {to}.",
    "Please tell me what {n} {of} comes to in {to}.",
    "Tell me the number of {to} in {n} {of}.",
    "Calculate {n} {of} in {to}.",
    "{n} {of} is how many {to}?",
    "{n} {of} equals how many {to}?",
    "If I have {n} {of}, how many {to} is that?",
    "I have {n} {of}. How many {to} do I have?",
)


@functools.cache
def _conversions() -> tuple[tuple[tuple[str, str, float], ...], ...]:
    """By kind, each pair of units with the number of the second in one of the first."""
    import pint  # 0.3 s, and only generation needs it

    registry: pint.UnitRegistry[float] = pint.UnitRegistry()
    return tuple(
        tuple((of, to, registry.Quantity(1.0, of).to(to).magnitude) for of in units for to in units if of != to)
        for units in UNITS.values()
    )


def generate_rows(seed: int) -> Iterator[Row]:
    """Questions in texts that do not repeat, the same for the same seed, until hardly a text is left.

    Numbers are the integers 1 to 10; answers lie between 0.01 and 1e15.
    """
    rng = random.Random(seed)
    spellings = {unit: names for units in UNITS.values() for unit, names in units.items()}
    seen: set[str] = set()
    misses = 0
    while misses < _MISSES:
        of, to, factor = rng.choice(rng.choice(_conversions()))
        n = rng.randint(1, 10)
        question = rng.choice(PHRASINGS).format(n=n, of=rng.choice(spellings[of]), to=rng.choice(spellings[to]))
        value = n * factor
        misses += 1
        if question not in seen and _SMALLEST <= value <= _LARGEST:
            misses = 0
            seen.add(question)
            yield question, value


@functools.cache
def _splits() -> tuple[Row, ...]:
    rows = generate_rows(_SEED)
    return tuple(next(rows) for _ in range(2 * SPLIT_SIZE))


def split_rows(split: Literal["train", "validation"]) -> list[Row]:
    """1,000 rows that are the same on every machine; no question stands in both splits."""
    rows = _splits()
    return list(rows[:SPLIT_SIZE] if split == "train" else rows[SPLIT_SIZE:])


def load_rows(path: str | Path) -> list[Row]:
    """Rows from a JSON file that holds a list of ``[question, number]``.

    Raises:
        DataError: the file cannot be read, or a row is no pair of a question and a finite number.
    """
    rows = read_json(path, object, Refusal(DataError, "give a list of [question, number]"))
    if not isinstance(rows, list):
        raise DataError(f"{shortened(path)}: holds no rows; give a list of [question, number]")
    return check_rows(rows, where=shortened(path))


def check_rows(rows: Iterable[object], *, where: str = "rows") -> list[Row]:
    """The rows as (question, value), or an error that names the first bad one, counted from 1.

    Raises:
        DataError: a row is no pair, its question is empty or no text, or its value is no finite number.
    """
    checked: list[Row] = []
    for number, row in enumerate(rows, start=1):
        problem = _problem(row)
        if problem:
            raise DataError(
                f"{where}: row {number} {problem}; each row is [question, number], found {reprlib.repr(row)}"
            )
        question, value = cast("Row", row)
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


def is_answer_valid(answer: float, truth: float) -> bool:
    """Whether an answer is within 5 % of the truth, strictly, both rounded to 3 decimals.

    NaN and infinity are never right: every comparison with the difference fails.
    """
    truth = round(truth, 3)
    return abs(round(answer, 3) - truth) < RELATIVE_TOLERANCE * abs(truth)


@dataclass(frozen=True)
class Score:
    """Shares of questions, from 0 to 1: answered rightly, and answered with a number at all."""

    accuracy: float
    answer_rate: float
    questions: int

    def __str__(self) -> str:
        return f"accuracy={self.accuracy:.2f} answer_rate={self.answer_rate:.2f}"


def score(answers: Sequence[float], truths: Sequence[float]) -> Score:
    """Counts answers that are right, and answers that are not NaN.

    Raises:
        DataError: the lengths differ, or there is nothing to count.
    """
    if len(answers) != len(truths) or not truths:
        raise DataError(f"cannot score {len(answers)} answers on {len(truths)} questions; give one answer for each")
    right = sum(map(is_answer_valid, answers, truths))
    given = sum(not math.isnan(answer) for answer in answers)
    return Score(right / len(truths), given / len(truths), len(truths))
