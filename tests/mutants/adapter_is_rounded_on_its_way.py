"""The adapter is loaded into bf16 and cast back to fp32."""

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
            tensor.data = tensor.data.to(torch.bfloat16).float()
    return llm


MUTANT = Mutant(
    id="P14-rounded",
    stage="load",
    checks=("LOD-006",),
    fault="every dtype looks right, yet the adapter was rounded to bf16",
    source="peft#2421",
    patches={"sft_ref.reference.sft.load": broken_load},
)
