"""A LoRA dropout of a tenth in training; load turns it off.

Accuracy 1.00; the reference 1.00.
"""

from mutation import Control
from plain_loop import PLAIN, PlainLoop

CONTROL = Control(
    "dropout_in_training",
    "LoRA dropout in training",
    lambda: PlainLoop(
        "dropout_in_training", convention=PLAIN, lora={"target_modules": "all-linear", "lora_dropout": 0.1}
    ),
)
