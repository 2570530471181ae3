"""More padding than any row needs, in training and generation."""

from mutation import Control
from plain_loop import PLAIN, PlainLoop

CONTROL = Control(
    "padded_to_multiples_of_8",
    "more padding than any row needs, in training and generation",
    lambda: PlainLoop("padded_to_multiples_of_8", convention=PLAIN, multiple=8),
)
