"""Adagrad, at ten times the rate. ACC."""

from _varied import Varied, arguments
from mutation import Control

CONTROL = Control(
    "adagrad", "trained with Adagrad", lambda: Varied("adagrad", arguments(optim="adagrad"), learning_rate=2e-2)
)
