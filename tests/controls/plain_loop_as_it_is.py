"""See `CONTROL`."""

from mutation import Control
from plain_loop import PlainLoop

CONTROL = Control(
    "plain_loop",
    "a plain loop, a chat template that is kept, the prompt formatted inside generation, a parser of its own",
    PlainLoop,
)
