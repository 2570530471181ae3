"""The B matrices begin with random numbers."""

from typing import Any

import torch
from mutation import Mutant

from sft_ref.reference import adapter

add_adapter = adapter.add_adapter


def random(*args: Any, **kwargs: Any) -> Any:
    model = add_adapter(*args, **kwargs)
    for name, tensor in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(tensor, std=0.05)
    return model


MUTANT = Mutant(
    id="random-b",
    stage="train",
    checks=("TRN-022",),
    fault="the B matrices begin with random numbers",
    source="ours, of no report",
    patches={"sft_ref.reference.adapter.add_adapter": random},
    retrain=True,
)
