"""One weight of the base is that of another checkpoint."""

from pathlib import Path

import torch
from mutation import Mutant

from sft_ref import BaseLLM
from sft_ref.reference import sft

load = sft.load


def broken_load(folder: Path) -> BaseLLM:
    llm = load(folder)
    weight = llm.model.get_base_model().model.layers[0].self_attn.k_proj.base_layer.weight
    noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    weight.data += 0.03 * weight.std() * noise
    return llm


MUTANT = Mutant(
    id="base-other",
    stage="load",
    checks=("LOD-006", "LOD-009"),
    fault="one Linear of the base, under its adapter, is that of a checkpoint some steps older",
    source="own: a base that was updated under the same name",
    patches={"sft_ref.reference.sft.load": broken_load},
)
