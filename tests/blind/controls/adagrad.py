"""Adagrad, at ten times the rate. Accuracy 1.00; the reference 1.00."""

from _varied import Varied, arguments
from mutation import Control

CONTROL = Control(
    "adagrad", "trained with Adagrad", lambda: Varied("adagrad", arguments(optim="adagrad"), learning_rate=2e-2)
)
