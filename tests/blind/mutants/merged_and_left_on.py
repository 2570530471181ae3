"""The adapter is merged into the base at load, and stays on. Accuracy 0.02; sound 1.00."""

from typing import Any

from mutation import Mutant

from sft_ref.reference.adapter import load_adapter


def broken(*args: Any) -> Any:
    model: Any = load_adapter(*args)
    for module in model.modules():
        if hasattr(module, "lora_A"):
            module.base_layer.weight.data += module.get_delta_weight("default")
    return model


MUTANT = Mutant(
    id="merged_and_left_on",
    stage="load",
    checks=(),
    fault="the adapter is merged into the base and added to it again",
    source="peft#1381",
    patches={"sft_ref.reference.adapter.load_adapter": broken},
)
