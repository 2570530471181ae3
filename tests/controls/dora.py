"""Weights decomposed into magnitude and direction."""

from mutation import Control
from plain_loop import PLAIN, PlainLoop

CONTROL = Control(
    "dora",
    "weights decomposed into magnitude and direction",
    lambda: PlainLoop("dora", convention=PLAIN, lora={"target_modules": "all-linear", "use_dora": True}),
)
