"""A learning rate that stays the same.

Accuracy 1.00; the reference 1.00.
"""

from _varied import Varied, arguments
from mutation import Control

CONTROL = Control(
    "constant_rate",
    "the learning rate is constant",
    lambda: Varied("constant_rate", arguments(lr_scheduler_type="constant"), learning_rate=1e-3),
)
