"""Every new token is computed from the whole text."""

from mutation import Control
from plain_loop import PLAIN, PlainLoop

CONTROL = Control(
    "no_cache",
    "every new token is computed from the whole text, without a cache",
    lambda: PlainLoop("no_cache", convention=PLAIN, generation={"use_cache": False}),
)
