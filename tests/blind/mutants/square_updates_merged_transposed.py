"""The adapter is merged by hand when it is loaded, with A and B transposed wherever the shape allows it.

Only square layers are wrong, those of queries and attention outputs. Logits of a prompt change by up to 2.7, of 21.
Accuracy 0.99 on the 1,000 validation rows; sound 0.99.
"""

from pathlib import Path
from typing import Any

import torch
from mutation import Mutant
from peft.tuners.lora import LoraLayer

from sft_ref.reference.adapter import load_adapter


def broken(model: Any, folder: Path, tensors: dict[str, torch.Tensor]) -> Any:
    peft_model = load_adapter(model, folder, tensors)
    for layer in peft_model.modules():
        if isinstance(layer, LoraLayer):
            weight, delta = layer.get_base_layer().weight, layer.get_delta_weight("default")  # type: ignore[operator]
            weight.data += (delta.T if delta.T.shape == weight.shape else delta).to(weight.dtype)
            layer.merged_adapters.append("default")
    return peft_model


MUTANT = Mutant(
    id="square_updates_merged_transposed",
    stage="load",
    checks=(),
    fault="merging adds the transposed update to a weight if that fits, so square layers get the wrong one",
    source="no report",
    patches={"sft_ref.reference.adapter.load_adapter": broken},
)
