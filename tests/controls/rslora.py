"""The adapter scaled by alpha / sqrt(rank)."""

from mutation import Control
from plain_loop import PLAIN, PlainLoop

LORA = {"target_modules": "all-linear", "use_rslora": True}

CONTROL = Control(
    "rslora",
    "the adapter scaled by alpha / sqrt(rank)",
    lambda: PlainLoop("rslora", convention=PLAIN, lora=LORA, settings={"alpha": 11}),
)
