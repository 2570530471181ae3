"""The loaded model is cast as a whole, float buffers included."""

from pathlib import Path

import torch
from mutation import Mutant

from sft_ref import BaseLLM
from sft_ref.reference import sft

load = sft.load


def broken_load(folder: Path) -> BaseLLM:
    llm = load(folder)
    llm.model.to(torch.bfloat16)
    return llm


MUTANT = Mutant(
    id="P8",
    stage="load",
    checks=("LOD-005", "LOD-007"),
    fault="model.to(bfloat16) casts what loading in bfloat16 would not",
    source="transformers#28685, transformers#25681",
    patches={"sft_ref.reference.sft.load": broken_load},
)
