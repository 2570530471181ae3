"""Cosine and sine are computed under bf16 autocast."""

from pathlib import Path
from typing import Any

import torch
from mutation import Mutant

from sft_ref import BaseLLM
from sft_ref.reference import sft

load = sft.load


def angles(module: Any, x: torch.Tensor, position_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    turned = position_ids[..., None].bfloat16() * module.inv_freq.bfloat16()
    both = torch.cat((turned, turned), dim=-1)
    return both.cos().to(x.dtype), both.sin().to(x.dtype)


def broken_load(folder: Path) -> BaseLLM:
    llm = load(folder)
    for module in llm.model.modules():
        if hasattr(module, "inv_freq"):
            module.forward = lambda x, position_ids, module=module: angles(module, x, position_ids)
    return llm


MUTANT = Mutant(
    id="P7-angles",
    stage="load",
    checks=("LOD-007", "LOD-008"),
    fault="rotary angles are computed in bf16 from frequencies in fp32",
    source="transformers#29285, transformers#29496",
    patches={"sft_ref.reference.sft.load": broken_load},
)
