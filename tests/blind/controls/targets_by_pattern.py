"""Modules are named by a regular expression, and some are excluded; lora_A starts from a normal distribution.

Accuracy 0.96; the reference 0.97.
"""

from mutation import Control
from plain_loop import PLAIN, PlainLoop

LORA = {
    "target_modules": r".*\.layers\.\d+\.(self_attn|mlp)\.\w+_proj",
    "exclude_modules": ["k_proj"],
    "init_lora_weights": "gaussian",
}

CONTROL = Control(
    "targets_by_pattern",
    "target_modules is a regular expression, exclude_modules takes k_proj out",
    lambda: PlainLoop("targets_by_pattern", convention=PLAIN, lora=LORA),
)
