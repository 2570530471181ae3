"""An orthogonal start of the adapter.

Accuracy 0.98; the reference 1.00.
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
