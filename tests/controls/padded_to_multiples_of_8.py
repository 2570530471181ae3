"""More padding than any row needs, in training and generation."""

from plain_loop import PLAIN, PlainLoop

from sft_ref.harness.mutation import Control

CONTROL = Control(
    "padded_to_multiples_of_8",
    "more padding than any row needs, in training and generation",
    lambda: PlainLoop("padded_to_multiples_of_8", convention=PLAIN, multiple=8),
)
