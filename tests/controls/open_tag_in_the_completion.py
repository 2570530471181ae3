"""The prompt is the question alone, and the parser wants both tags."""

from mutation import Control
from plain_loop import Convention, PlainLoop, tagged

BARE = Convention(
    prompt=str.strip,
    target=lambda value: f" {tagged(value)}",
    pattern=r"<answer>(.*?)</answer>",
)

CONTROL = Control(
    "open_tag_in_the_completion",
    "the prompt is the question alone, and the parser wants both tags",
    lambda: PlainLoop("open_tag_in_the_completion", convention=BARE),
)
