"""A weight decay of 0.1, and no clipping.

Accuracy 1.00; the reference 1.00.
"""

from _varied import Varied, arguments
from mutation import Control

CONTROL = Control(
    "decayed_and_unclipped",
    "weight decay of 0.1, gradients not clipped",
    lambda: Varied("decayed_and_unclipped", arguments(weight_decay=0.1, max_grad_norm=0.0)),
)
