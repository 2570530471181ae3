"""lora_B has a bias (`lora_bias`), which is trained and saved.

Accuracy 0.97; the reference 0.97.
"""

from mutation import Control
from plain_loop import PLAIN, PlainLoop

CONTROL = Control(
    "bias_in_the_adapter",
    "lora_B has a trained bias",
    lambda: PlainLoop(
        "bias_in_the_adapter", convention=PLAIN, lora={"target_modules": "all-linear", "lora_bias": True}
    ),
)
