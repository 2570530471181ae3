"""Four micro-batches of 8 rows to a step. Accuracy 1.00; the reference 1.00."""

from _varied import Varied, arguments
from mutation import Control

CONTROL = Control(
    "accumulated",
    "gradients of four micro-batches are accumulated",
    lambda: Varied("accumulated", arguments(per_device_train_batch_size=8, gradient_accumulation_steps=4)),
)
