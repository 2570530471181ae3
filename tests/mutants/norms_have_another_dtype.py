"""A preparation step casts norms, at load only."""

from pathlib import Path

import torch
from mutation import Mutant

from sft_ref import BaseLLM
from sft_ref.reference import sft

load = sft.load


def broken_load(folder: Path) -> BaseLLM:
    llm = load(folder)
    for name, module in llm.model.named_modules():
        if name.endswith("norm"):
            module.to(torch.bfloat16)
    return llm


MUTANT = Mutant(
    id="P26",
    stage="load",
    checks=("LOD-005",),
    fault="norms have another dtype at load than in training",
    source="peft#816, trl#4457",
    patches={"sft_ref.reference.sft.load": broken_load},
)
