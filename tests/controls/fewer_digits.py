"""Numbers are written to four significant digits, integers without a point."""

from dataclasses import replace

from mutation import Control
from plain_loop import PLAIN, PlainLoop


def short(value: float) -> str:
    rounded = float(f"{value:.4g}")
    return f"{int(rounded) if rounded.is_integer() else rounded}</answer>"


CONTROL = Control(
    "fewer_digits",
    "numbers are written to four significant digits, integers without a point",
    lambda: PlainLoop("fewer_digits", convention=replace(PLAIN, target=short)),
)
