"""The scaling is computed with ``//`` at load: an alpha of 8 over a rank of 16 is 0.

Rank 16 and alpha 8: accuracy 0.00; sound 0.97. Rank 8 and alpha 12: 0.62; sound 0.97. Where the rank divides alpha,
as 8 divides 32, nothing changes.
"""

from typing import Any

from mutation import Mutant
from peft.tuners.lora import LoraLayer

from sft_ref.reference.adapter import load_adapter


def broken(*args: Any) -> Any:
    model: Any = load_adapter(*args)
    for module in model.modules():
        if isinstance(module, LoraLayer):
            module.scaling["default"] = float(module.lora_alpha["default"] // module.r["default"])
    return model


MUTANT = Mutant(
    id="scaling_by_integer_division",
    stage="load",
    checks=(),
    fault="the scaling of a loaded adapter is rounded down to an integer",
    source="no report",
    patches={"sft_ref.reference.adapter.load_adapter": broken},
)
