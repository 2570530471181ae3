"""The prompt consumes the open tag, generation puts it back, and the parser wants both."""

from dataclasses import replace

from mutation import Control
from plain_loop import PLAIN, PlainLoop

BOTH_TAGS = replace(PLAIN, pattern=r"<answer>(.*?)</answer>")

CONTROL = Control(
    "open_tag_put_back",
    "the prompt consumes the open tag, generation puts it back, and the parser wants both",
    lambda: PlainLoop("open_tag_put_back", convention=BOTH_TAGS, put_back="<answer>"),
)
