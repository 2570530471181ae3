"""Batches of rows of like lengths."""

from plain_loop import PLAIN, PlainLoop

from sft_ref.harness.mutation import Control

CONTROL = Control(
    "like_lengths_together",
    "batches of rows of like lengths",
    lambda: PlainLoop("like_lengths_together", convention=PLAIN, like_lengths=True),
)
