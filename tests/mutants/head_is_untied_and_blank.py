"""The head is not tied to the embedding when the base is loaded, and drawn at random."""

from pathlib import Path

import torch
from mutation import Mutant

from sft_ref import BaseLLM
from sft_ref.reference import sft

load = sft.load


def broken_load(folder: Path) -> BaseLLM:
    llm = load(folder)
    head = llm.model.get_output_embeddings()
    head.weight = torch.nn.Parameter(torch.randn_like(head.weight) * 0.02, requires_grad=False)
    return llm


MUTANT = Mutant(
    id="A4",
    stage="load",
    checks=("LOD-002", "LOD-003", "LOD-008"),
    fault="embedding and head, one tensor in the base, diverge at load",
    source="transformers#45127, peft#2777",
    patches={"sft_ref.reference.sft.load": broken_load},
)
