"""The end is never supervised, and generation stops at the closing tag."""

from dataclasses import replace

from mutation import Control
from plain_loop import PLAIN, PlainLoop

CONTROL = Control(
    "stops_at_the_closing_tag",
    "the end is never supervised, and generation stops at the closing tag",
    lambda: PlainLoop("stops_at_the_closing_tag", convention=replace(PLAIN, end=""), stop="</answer>"),
)
