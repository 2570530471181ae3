"""Rotary frequencies went through bf16."""

from pathlib import Path

import torch
from mutation import Mutant

from sft_ref import BaseLLM
from sft_ref.reference import sft

load = sft.load


def broken_load(folder: Path) -> BaseLLM:
    llm = load(folder)
    for module in llm.model.modules():
        if hasattr(module, "inv_freq"):
            module.inv_freq.copy_(module.inv_freq.to(torch.bfloat16))
    return llm


MUTANT = Mutant(
    id="P7",
    stage="load",
    checks=("LOD-007", "LOD-008"),
    fault="rotary frequencies are rounded to bf16 and stored in fp32",
    source="transformers#29285",
    patches={"sft_ref.reference.sft.load": broken_load},
)
