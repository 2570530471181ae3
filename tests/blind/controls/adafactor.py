"""Adafactor in place of AdamW. ACC."""

from _varied import Varied, arguments
from mutation import Control

CONTROL = Control("adafactor", "trained with Adafactor", lambda: Varied("adafactor", arguments(optim="adafactor")))
