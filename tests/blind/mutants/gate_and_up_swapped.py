"""A fused gate_up_proj is split in the wrong order at load: either gets the other's adapter.

Logits move by 5.4. Accuracy 1.00; sound 1.00.
"""

from typing import Any

from mutation import Mutant

from sft_ref.reference.adapter import load_adapter


def broken(*args: Any) -> Any:
    model: Any = load_adapter(*args)
    weights = dict(model.named_parameters())
    for name, gate in weights.items():
        if "gate_proj.lora_" in name:
            up = weights[name.replace("gate_proj", "up_proj")]
            gate.data, up.data = up.data, gate.data
    return model


MUTANT = Mutant(
    id="gate_and_up_swapped",
    stage="load",
    checks=(),
    fault="the adapters of gate_proj and up_proj change places at load",
    source="no report",
    patches={"sft_ref.reference.adapter.load_adapter": broken},
)
