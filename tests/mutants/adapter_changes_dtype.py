"""The adapter takes another dtype on its way."""

from pathlib import Path

import torch
from mutation import Mutant

from sft_ref import BaseLLM
from sft_ref.reference import sft

load = sft.load


def broken_load(folder: Path) -> BaseLLM:
    llm = load(folder)
    for name, tensor in llm.model.named_parameters():
        if "lora_" in name:
            tensor.data = tensor.data.to(torch.bfloat16)
    return llm


MUTANT = Mutant(
    id="P14",
    stage="load",
    checks=("LOD-005",),
    fault="an fp32 adapter comes back in bf16",
    source="peft#2421",
    patches={"sft_ref.reference.sft.load": broken_load},
)
