"""No mask: the loss is that of questions and answers."""

from mutation import Control
from plain_loop import PLAIN, PlainLoop

CONTROL = Control(
    "whole_text_supervised",
    "no mask: the loss is that of questions and answers",
    lambda: PlainLoop("whole_text_supervised", convention=PLAIN, whole_text=True),
)
