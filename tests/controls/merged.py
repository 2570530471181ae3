"""Load gives a plain model, into which the adapter was merged."""

from plain_loop import PLAIN, PlainLoop

from sft_ref.harness.mutation import Control

CONTROL = Control(
    "merged",
    "load gives a plain model, into which the adapter was merged",
    lambda: PlainLoop("merged", convention=PLAIN, merged=True),
)
