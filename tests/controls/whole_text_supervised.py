"""No mask: the loss is that of questions and answers."""

from plain_loop import PLAIN, PlainLoop

from sft_ref.harness.mutation import Control

CONTROL = Control(
    "whole_text_supervised",
    "no mask: the loss is that of questions and answers",
    lambda: PlainLoop("whole_text_supervised", convention=PLAIN, whole_text=True),
)
