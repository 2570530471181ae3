"""Finds and parses numbers in text; the only module that does so. Independent of any fine-tune and answer format."""

from __future__ import annotations

import math
import re

from sft_ref.reference.data import is_answer_valid

NUMERAL = re.compile(r"[+-]?(?:\d+(?:[,_]\d+)*(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?")
"""A number as people write it: with a sign, separators, decimals or an exponent."""


def find_numerals(text: str) -> list[str]:
    """Returns the complete numerals in a text."""
    return NUMERAL.findall(text)


def to_number(numeral: str) -> float:
    """Converts a numeral to a number, ignoring separators; returns NaN if it is not a number."""
    try:
        return float(numeral.replace(",", "").replace("_", ""))
    except ValueError:
        return math.nan


def number(value: object) -> float:
    """Converts a value returned by foreign code to a float; returns NaN if it is not a number."""
    try:
        return float(value)  # type: ignore[arg-type]  # the call tests whether it is a number
    except (TypeError, ValueError):
        return math.nan


def last_number(text: str) -> float:
    """Returns the last number in a text; NaN if the text contains none."""
    found = find_numerals(text)
    return to_number(found[-1]) if found else math.nan


def contains_answer(text: str, value: float) -> bool:
    """Returns whether any number in a text is a valid answer for the true `value`, ignoring the text around it."""
    return any(is_answer_valid(to_number(numeral), value) for numeral in find_numerals(text))
