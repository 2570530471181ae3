"""Ranks and alphas that differ from module to module.

Accuracy 1.00; the reference 1.00.
"""

from mutation import Control
from plain_loop import PLAIN, PlainLoop

CONTROL = Control(
    "rank_pattern",
    "rank and alpha differ from module to module",
    lambda: PlainLoop(
        "rank_pattern",
        convention=PLAIN,
        lora={
            "target_modules": "all-linear",
            "rank_pattern": {"q_proj": 4, "down_proj": 16},
            "alpha_pattern": {"down_proj": 64},
        },
    ),
)
