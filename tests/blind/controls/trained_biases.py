"""Biases of lora_B are trained and saved. Accuracy 1.00; the reference 1.00."""

from mutation import Control
from plain_loop import PLAIN, PlainLoop

CONTROL = Control(
    "trained_biases",
    "lora_B has a trained bias, which is saved",
    lambda: PlainLoop("trained_biases", convention=PLAIN, lora={"target_modules": "all-linear", "lora_bias": True}),
)
