"""Rank 64 with the scaling of rsLoRA.

Accuracy not measured; a run of 10 steps trains, saves and loads.
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
