"""A cosine schedule that starts again half way.

Accuracy 1.00; the reference 1.00.
"""

from _varied import Varied, arguments
from mutation import Control

CONTROL = Control(
    "cosine_with_restarts",
    "a cosine schedule with a restart",
    lambda: Varied(
        "cosine_with_restarts",
        arguments(lr_scheduler_type="cosine_with_restarts", lr_scheduler_kwargs={"num_cycles": 2}),
    ),
)
