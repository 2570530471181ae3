"""A cosine schedule that starts again half way.

Accuracy not measured; a run of 10 steps trains, saves and loads.
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
