"""Rank 64 with the scaling of rsLoRA.

Accuracy 1.00; the reference 1.00.
"""

from mutation import Control
from plain_loop import PLAIN, PlainLoop

CONTROL = Control(
    "wide_rslora",
    "rank 64, scaled by alpha / sqrt(rank)",
    lambda: PlainLoop(
        "wide_rslora",
        convention=PLAIN,
        lora={"target_modules": "all-linear", "use_rslora": True},
        settings={"rank": 64, "alpha": 16},
    ),
)
