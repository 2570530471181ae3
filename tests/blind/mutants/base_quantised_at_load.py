"""The adapter is trained on the exact base and loaded on one of 3 bits. Accuracy 0.83; sound 1.00."""

from typing import Any

from _rounding import round_weights
from mutation import Mutant

from sft_ref.reference.adapter import load_adapter


def broken(*args: Any) -> Any:
    model: Any = load_adapter(*args)
    round_weights(model, bits=3)
    return model


MUTANT = Mutant(
    id="base_quantised_at_load",
    stage="load",
    checks=(),
    fault="the base under the loaded adapter is rounded to 3 bits",
    source="unsloth-zoo#810, transformers#31293",
    patches={"sft_ref.reference.adapter.load_adapter": broken},
)
