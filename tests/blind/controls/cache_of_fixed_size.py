"""Answers are decoded with a cache of a fixed size. Accuracy 0.97; the reference 0.97."""

from mutation import Control
from plain_loop import PLAIN, PlainLoop

CONTROL = Control(
    "static_cache",
    "the cache is allocated at its full size before decoding",
    lambda: PlainLoop("static_cache", convention=PLAIN, generation={"cache_implementation": "static"}),
)
