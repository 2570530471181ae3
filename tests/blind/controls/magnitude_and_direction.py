"""DoRA, whose magnitudes are trained and saved. Accuracy 1.00; the reference 1.00."""

from mutation import Control
from plain_loop import PLAIN, PlainLoop

LORA = {"target_modules": "all-linear", "use_dora": True}
CONTROL = Control(
    "magnitude_and_direction",
    "trained with DoRA, saved and loaded with its magnitudes",
    lambda: PlainLoop(
        "magnitude_and_direction", convention=PLAIN, lora={"target_modules": "all-linear", "use_dora": True}
    ),
)
