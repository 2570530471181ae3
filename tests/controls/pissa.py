"""The adapter starts with the main components of the base (PiSSA), and its configuration says so when it is loaded."""

from mutation import Control
from plain_loop import PLAIN, PlainLoop

CONTROL = Control(
    "pissa",
    "the adapter starts with the main components of the base, which loading takes away again",
    lambda: PlainLoop("pissa", convention=PLAIN, lora={"target_modules": "all-linear", "init_lora_weights": "pissa"}),
)
