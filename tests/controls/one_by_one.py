"""Questions answered one at a time."""

from plain_loop import PLAIN, PlainLoop

from sft_ref.harness.mutation import Control

CONTROL = Control(
    "one_by_one",
    "questions answered one at a time",
    lambda: PlainLoop("one_by_one", convention=PLAIN, one_by_one=True),
)
