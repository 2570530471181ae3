"""Activations are computed again in the backward pass.

Accuracy 1.00; the reference 1.00.
"""

from _varied import Varied, arguments
from mutation import Control

CONTROL = Control(
    "checkpointed",
    "activations are recomputed in the backward pass",
    lambda: Varied(
        "checkpointed",
        arguments(gradient_checkpointing=True, gradient_checkpointing_kwargs={"use_reentrant": False}),
    ),
)
