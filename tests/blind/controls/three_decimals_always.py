"""Every number has three decimals: 6000 is written as ``6000.000``.

Accuracy 0.95; the reference 0.97.
"""

from mutation import Control
from plain_loop import PLAIN, Convention, PlainLoop

CONTROL = Control(
    "three_decimals_always",
    "numbers are written with exactly three decimals",
    lambda: PlainLoop(
        "three_decimals_always",
        convention=Convention(prompt=PLAIN.prompt, target=lambda value: f"{value:.3f}</answer>"),
    ),
)
