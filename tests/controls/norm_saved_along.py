"""A norm is trained whole, and saved with the adapter."""

from mutation import Control
from plain_loop import PLAIN, PlainLoop

CONTROL = Control(
    "norm_saved_along",
    "the last norm is trained whole, saved with the adapter and named in modules_to_save",
    lambda: PlainLoop(
        "norm_saved_along", convention=PLAIN, lora={"target_modules": "all-linear", "modules_to_save": ["norm"]}
    ),
)
