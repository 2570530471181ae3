"""The A matrices are frozen from the beginning, as in LoRA-FA."""

from mutation import Control
from plain_loop import PLAIN, PlainLoop

CONTROL = Control(
    "a_matrices_frozen",
    "the A matrices are frozen from the beginning, as in LoRA-FA",
    lambda: PlainLoop("a_matrices_frozen", convention=PLAIN, frozen="lora_A"),
)
