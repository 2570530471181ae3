"""An orthogonal start of the adapter.

Accuracy not measured; a run of 10 steps trains, saves and loads.
"""

from mutation import Control
from plain_loop import PLAIN, PlainLoop

CONTROL = Control(
    "orthogonal_start",
    "the adapter starts orthogonal, with a lora_B that is not zero",
    lambda: PlainLoop(
        "orthogonal_start", convention=PLAIN, lora={"target_modules": "all-linear", "init_lora_weights": "orthogonal"}
    ),
)
