"""After an unrelated change, merging adds the adapter twice."""

import torch
from mutation import Mutant
from peft.tuners.lora import layer

get_delta_weight = layer.Linear.get_delta_weight


def doubled(self: layer.Linear, adapter: str) -> torch.Tensor:
    return 2 * get_delta_weight(self, adapter)


MUTANT = Mutant(
    id="A12",
    stage="load",
    checks=("LOD-004",),
    fault="merging adds the adapter twice, while the unmerged model is right",
    source="litgpt#1224",
    patches={"peft.tuners.lora.layer.Linear.get_delta_weight": doubled},
)
