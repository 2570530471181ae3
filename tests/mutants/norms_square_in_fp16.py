"""A norm squares what it is given in fp16: right while it is small, and rounded away or infinite elsewhere."""

from typing import Any

import torch

from sft_ref.harness.mutation import Mutant


def in_fp16(norm: Any, hidden: torch.Tensor) -> Any:
    low = hidden.half()
    variance = low.pow(2).mean(-1, keepdim=True)
    return norm.weight * (low * torch.rsqrt(variance + norm.variance_epsilon)).to(hidden.dtype)


MUTANT = Mutant(
    id="P24",
    stage="load",
    checks=("LOD-003", "LOD-008"),
    fault="what is loaded computes its norms in fp16, and training computed them in fp32",
    source="lit-llama#294",
    patches={"transformers.models.llama.modeling_llama.LlamaRMSNorm.forward": in_fp16},
)
