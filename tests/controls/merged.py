"""Load gives a plain model, into which the adapter was merged."""

from mutation import Control
from plain_loop import PLAIN, PlainLoop

CONTROL = Control(
    "merged",
    "load gives a plain model, into which the adapter was merged",
    lambda: PlainLoop("merged", convention=PLAIN, merged=True),
)
