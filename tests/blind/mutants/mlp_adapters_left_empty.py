"""Keys of the MLP do not match and are passed over: their adapters stay zero.

Logits move by 3.5. Accuracy 1.00; sound 1.00.
"""

from typing import Any

from mutation import Mutant

from sft_ref.reference.adapter import load_adapter


def broken(*args: Any) -> Any:
    model: Any = load_adapter(*args)
    for name, weight in model.named_parameters():
        if ".mlp." in name and "lora_B" in name:
            weight.data.zero_()
    return model


MUTANT = Mutant(
    id="mlp_adapters_left_empty",
    stage="load",
    checks=(),
    fault="the adapters of the MLP are not filled at load",
    source="transformers#38627, peft#2574",
    patches={"sft_ref.reference.adapter.load_adapter": broken},
)
