"""Layers are dealt to two devices, each half of their number rounded down: of an odd number the last one is lost.

Of three layers two are left. Accuracy 0.07 and answer rate 0.80; sound 0.97 and 1.00.
"""

from typing import Any

from mutation import Mutant

from sft_ref.reference.sft import load

DEVICES = 2


def broken(*args: Any, **kwargs: Any) -> Any:
    llm = load(*args, **kwargs)
    inner = llm.model.get_base_model().model
    inner.layers = inner.layers[: len(inner.layers) // DEVICES * DEVICES]
    inner.config.num_hidden_layers = len(inner.layers)
    return llm


MUTANT = Mutant(
    id="last_layer_lost_between_two_devices",
    stage="load",
    checks=(),
    fault="the loaded model lacks its last layer if the number of layers is odd",
    source="no report",
    patches={"sft_ref.reference.sft.load": broken},
)
