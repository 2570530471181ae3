"""Padding on the right in training, on the left in generation."""

from mutation import Control
from plain_loop import PLAIN, PlainLoop

CONTROL = Control(
    "padded_on_the_right",
    "padding on the right in training, on the left in generation",
    lambda: PlainLoop("padded_on_the_right", convention=PLAIN, padding="right"),
)
