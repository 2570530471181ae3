"""Questions answered one at a time."""

from mutation import Control
from plain_loop import PLAIN, PlainLoop

CONTROL = Control(
    "one_by_one",
    "questions answered one at a time",
    lambda: PlainLoop("one_by_one", convention=PLAIN, one_by_one=True),
)
