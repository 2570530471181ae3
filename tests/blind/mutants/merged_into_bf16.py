"""The adapter is merged at load into weights that pass through bf16: small differences are rounded away.

Logits move by 0.17. Accuracy 1.00; sound 1.00.
"""

from typing import Any

import torch
from mutation import Mutant

from sft_ref.reference.adapter import load_adapter


def broken(*args: Any) -> Any:
    model: Any = load_adapter(*args)
    model.merge_adapter()
    for module in model.modules():
        if hasattr(module, "lora_A"):
            weight = module.base_layer.weight
            weight.data = weight.data.to(torch.bfloat16).to(weight.dtype)
    return model


MUTANT = Mutant(
    id="merged_into_bf16",
    stage="load",
    checks=(),
    fault="the adapter is merged into bf16 weights at load, and was trained in fp32",
    source="no report",
    patches={"sft_ref.reference.adapter.load_adapter": broken},
)
