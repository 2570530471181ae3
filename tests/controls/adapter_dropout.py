"""Dropout in the adapter, which changes nothing while the B matrices are zero."""

from mutation import Control
from plain_loop import PLAIN, PlainLoop

LORA = {"target_modules": "all-linear", "lora_dropout": 0.1}

CONTROL = Control(
    "adapter_dropout",
    "dropout in the adapter, which changes nothing while the B matrices are zero",
    lambda: PlainLoop("adapter_dropout", convention=PLAIN, lora=LORA),
)
