"""The adapter is trained on a base of 3 bits and loaded on the exact one, and nothing records it.

Last loss 0.0394; sound 0.0027. Accuracy 1.00; sound 1.00.
"""

from typing import Any

from _rounding import round_weights
from mutation import Mutant

from sft_ref.reference.adapter import add_adapter


def broken(model: Any, *args: Any, **kwargs: Any) -> Any:
    round_weights(model, bits=3)
    return add_adapter(model, *args, **kwargs)


MUTANT = Mutant(
    id="base_quantised_in_training",
    stage="train",
    checks=(),
    fault="the base is rounded to 3 bits under the adapter in training, and is exact when loaded",
    source="unsloth-zoo#810 is its mirror image",
    patches={"sft_ref.reference.adapter.add_adapter": broken},
    retrain=True,
)
