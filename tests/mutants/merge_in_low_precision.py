"""Merging rounds to bf16 what is added to fp32 weights."""

import torch
from mutation import Mutant
from peft.tuners.lora import layer

get_delta_weight = layer.Linear.get_delta_weight


def rounded(self: layer.Linear, adapter: str) -> torch.Tensor:
    delta: torch.Tensor = get_delta_weight(self, adapter)
    return delta.bfloat16().to(delta.dtype)


MUTANT = Mutant(
    id="A1",
    stage="load",
    checks=("LOD-004",),
    fault="the merge happens in bf16, and moves the logits of an fp32 model",
    source="peft#1388",
    patches={"peft.tuners.lora.layer.Linear.get_delta_weight": rounded},
)
