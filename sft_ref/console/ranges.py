"""Ranges of numbers: they test a value, parse it from the command line, and describe themselves in words."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass


@dataclass(frozen=True)
class IntRange:
    """Whole numbers from `least` to `most`; calling it parses one from the command line."""

    least: int
    most: int

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and self.least <= value <= self.most

    def __str__(self) -> str:
        return f"a whole number from {self.least} to {self.most}"

    def __call__(self, text: str) -> int:
        """Returns the number that a text writes in decimal digits.

        Raises:
            argparse.ArgumentTypeError: the text is not a number, or the number is out of range.
        """
        is_short = text.isascii() and text.isdecimal() and len(text) <= len(str(self.most))
        if not is_short or int(text) not in self:
            raise argparse.ArgumentTypeError(f"{text[:80]!r}: give {self}")
        return int(text)


@dataclass(frozen=True)
class FloatRange:
    """Numbers above 0, up to `most`; calling it parses one from the command line."""

    most: float

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= self.most  # never NaN

    def __str__(self) -> str:
        return f"a number above 0, at most {self.most:g}"

    def __call__(self, text: str) -> float:
        """Returns the number that a text writes.

        Raises:
            argparse.ArgumentTypeError: the text is not a number, or the number is out of range.
        """
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if value not in self:
            raise argparse.ArgumentTypeError(f"{text[:80]!r}: give {self}")
        return value


Range = IntRange | FloatRange
