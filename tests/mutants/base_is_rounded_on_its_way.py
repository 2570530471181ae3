"""The base is loaded in fp16 and cast back to fp32."""

from pathlib import Path

from mutation import Mutant

from sft_ref import BaseLLM
from sft_ref.reference import sft

load = sft.load


def broken_load(folder: Path) -> BaseLLM:
    llm = load(folder)
    for name, tensor in llm.model.named_parameters():
        if "lora_" not in name:
            tensor.data = tensor.data.half().float()
    return llm


MUTANT = Mutant(
    id="base-rounded",
    stage="load",
    checks=("LOD-006",),
    fault="every dtype looks right, yet small weights of the base were rounded to fp16",
    source="our own; no known report",
    patches={"sft_ref.reference.sft.load": broken_load},
)
