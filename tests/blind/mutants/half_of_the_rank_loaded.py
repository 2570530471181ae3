"""Load makes room for half of the rank and copies what fits.

Logits move by 13. Accuracy 1.00; sound 1.00.
"""

from typing import Any

from mutation import Mutant

from sft_ref.reference.adapter import load_adapter


def broken(*args: Any) -> Any:
    model: Any = load_adapter(*args)
    for name, weight in model.named_parameters():
        if "lora_A" in name:
            weight.data[len(weight) // 2 :] = 0
    return model


MUTANT = Mutant(
    id="half_of_the_rank_loaded",
    stage="load",
    checks=(),
    fault="the second half of each adapter's rank is left empty at load",
    source="no report",
    patches={"sft_ref.reference.adapter.load_adapter": broken},
)
