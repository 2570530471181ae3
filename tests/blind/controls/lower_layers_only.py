"""Only the lower two of the base's three layers have an adapter. Accuracy 0.97; the reference 0.97."""

from mutation import Control
from plain_loop import PLAIN, PlainLoop

MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

CONTROL = Control(
    "lower_layers_only",
    "the last layer has no adapter (layers_to_transform)",
    lambda: PlainLoop(
        "lower_layers_only",
        convention=PLAIN,
        lora={"target_modules": MODULES, "layers_to_transform": [0, 1], "layers_pattern": "layers"},
    ),
)
