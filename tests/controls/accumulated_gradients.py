"""Two micro-batches a step, whose gradients are zeroed between the first forward and its backward pass."""

from mutation import Control
from plain_loop import PLAIN, PlainLoop

CONTROL = Control(
    "accumulated_gradients",
    "two micro-batches a step, whose gradients are zeroed between the first forward and its backward pass",
    lambda: PlainLoop("accumulated_gradients", convention=PLAIN, micro_batches=2),
)
