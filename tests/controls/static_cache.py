"""A cache whose size is fixed when generation begins."""

from mutation import Control
from plain_loop import PLAIN, PlainLoop

CONTROL = Control(
    "static_cache",
    "a cache with room for prompt and answer is set up before generation; its end is masked",
    lambda: PlainLoop(
        "static_cache", convention=PLAIN, generation={"cache_implementation": "static", "disable_compile": True}
    ),
)
