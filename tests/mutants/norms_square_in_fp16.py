"""A norm squares what it is given in fp16: right while that is small, infinite above 255."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from mutation import Mutant

from sft_ref import BaseLLM
from sft_ref.reference import sft

load = sft.load


def in_fp16(norm: Any, hidden: torch.Tensor) -> Any:
    low = hidden.half()
    variance = low.pow(2).mean(-1, keepdim=True)
    return norm.weight * (low * torch.rsqrt(variance + norm.variance_epsilon)).to(hidden.dtype)


def broken_load(folder: Path) -> BaseLLM:
    llm = load(folder)
    for module in llm.model.modules():
        if hasattr(module, "variance_epsilon"):
            module.forward = partial(in_fp16, module)
    return llm


MUTANT = Mutant(
    id="P24",
    stage="load",
    checks=("LOD-003", "LOD-008"),
    fault="what is loaded computes its norms in fp16, and training computed them in fp32",
    source="lit-llama#294",
    patches={"sft_ref.reference.sft.load": broken_load},
)
