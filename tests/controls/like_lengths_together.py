"""Batches of rows of like lengths."""

from mutation import Control
from plain_loop import PLAIN, PlainLoop

CONTROL = Control(
    "like_lengths_together",
    "batches of rows of like lengths",
    lambda: PlainLoop("like_lengths_together", convention=PLAIN, batches_by_length=True),
)
