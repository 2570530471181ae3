"""The loaded model divides its attention scores by the root of the hidden size, in place of that of a head's size.

EFFECT
"""

from typing import Any

from mutation import Mutant

from sft_ref.reference.adapter import load_adapter


def broken(*args: Any) -> Any:
    model = load_adapter(*args)
    for name, module in model.named_modules():
        if name.endswith("self_attn"):
            module.scaling = model.config.hidden_size**-0.5
    return model


MUTANT = Mutant(
    id="attention_scaled_by_the_hidden_size",
    stage="load",
    checks=(),
    fault="attention of the loaded model is scaled by the size of all heads together",
    source="no report",
    patches={"sft_ref.reference.adapter.load_adapter": broken},
)
