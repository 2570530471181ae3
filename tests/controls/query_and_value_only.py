"""LoRA on two matrices of each layer, as the first paper had it."""

from mutation import Control
from plain_loop import PLAIN, PlainLoop

CONTROL = Control(
    "query_and_value_only",
    "LoRA on two matrices of each layer, as the first paper had it",
    lambda: PlainLoop("query_and_value_only", convention=PLAIN, lora={"target_modules": ["q_proj", "v_proj"]}),
)
