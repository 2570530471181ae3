"""Question, a line break, a label, and both tags in the completion."""

from mutation import Control
from plain_loop import Convention, PlainLoop, tagged

SUFFIX = Convention(
    prompt=lambda question: f"{question.strip()}\nAnswer:",
    target=lambda value: f" {tagged(value)}",
    pattern=r"<answer>(.*?)</answer>",
)

CONTROL = Control(
    "suffix_wording",
    "question, a line break, a label, and both tags in the completion",
    lambda: PlainLoop("suffix_wording", convention=SUFFIX),
)
