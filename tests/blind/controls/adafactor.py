"""Adafactor in place of AdamW. Accuracy 1.00; the reference 1.00."""

from _varied import Varied, arguments
from mutation import Control

CONTROL = Control("adafactor", "trained with Adafactor", lambda: Varied("adafactor", arguments(optim="adafactor")))
