"""Numbers in texts: the one place that finds and reads them. Knows no fine-tune and no convention."""

from __future__ import annotations

import math
import re

from sft_ref.reference.data import is_answer_valid

NUMERAL = re.compile(r"[+-]?(?:\d+(?:[,_]\d+)*(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?")
"""A number as people write it: with a sign, separators, decimals or an exponent."""


def find_numerals(text: str) -> list[str]:
    """The numerals of a text, each whole."""
    return NUMERAL.findall(text)


def to_number(numeral: str) -> float:
    """The number that a numeral stands for, separators left out; NaN for what is none."""
    try:
        return float(numeral.replace(",", "").replace("_", ""))
    except ValueError:
        return math.nan


def number(value: object) -> float:
    """What somebody else's code returned for a number; NaN for what is none."""
    try:
        return float(value)  # type: ignore[arg-type]  # that is asked
    except (TypeError, ValueError):
        return math.nan


def last_number(text: str) -> float:
    """The last number of a text; NaN where it holds none."""
    found = find_numerals(text)
    return to_number(found[-1]) if found else math.nan


def contains_answer(text: str, value: float) -> bool:
    """Whether one of the numbers in a text is a valid answer where `value` is the truth, whatever stands around it."""
    return any(is_answer_valid(to_number(numeral), value) for numeral in find_numerals(text))
