"""Training rounds the rotary frequencies to bf16; loading does not."""

from typing import Any

import torch
from mutation import Mutant

from sft_ref.reference import adapter

add_adapter = adapter.add_adapter


def rounded(*args: Any, **kwargs: Any) -> Any:
    model = add_adapter(*args, **kwargs)
    for module in model.modules():
        if isinstance(frequencies := getattr(module, "inv_freq", None), torch.Tensor):
            frequencies.copy_(frequencies.to(torch.bfloat16))
    return model


MUTANT = Mutant(
    id="P7-trained",
    stage="train",
    checks=("TRN-011",),
    fault="rotary frequencies are rounded to bf16 in training alone",
    source="own: transformers#29285, on the side of training",
    patches={"sft_ref.reference.adapter.add_adapter": rounded},
    resave=True,
)
