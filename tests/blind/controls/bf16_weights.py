"""Base, adapter and computation in bf16, in training and when loaded.

Accuracy 1.00; the reference 1.00.
"""

from _varied import Varied
from mutation import Control

CONTROL = Control(
    "bf16_weights", "everything is bf16, in training and when loaded", lambda: Varied("bf16_weights", {}, policy="bf16")
)
