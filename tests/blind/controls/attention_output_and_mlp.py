"""LoRA on output and down projections alone, of rank 32. Accuracy 1.00; the reference 1.00."""

from mutation import Control
from plain_loop import PLAIN, PlainLoop

CONTROL = Control(
    "attention_output_and_mlp",
    "only o_proj and down_proj are adapted, with rank 32",
    lambda: PlainLoop(
        "attention_output_and_mlp",
        convention=PLAIN,
        lora={"target_modules": ["o_proj", "down_proj"]},
        settings={"rank": 32},
    ),
)
