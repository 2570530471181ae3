"""The attention backend at load is the library's default, not the one of training."""

from pathlib import Path

from mutation import Mutant

from sft_ref import BaseLLM
from sft_ref.reference import sft

load = sft.load


def broken_load(folder: Path) -> BaseLLM:
    llm = load(folder)
    llm.model.get_base_model().set_attn_implementation("sdpa")
    return llm


MUTANT = Mutant(
    id="attention",
    stage="load",
    checks=("LOD-008",),
    fault="another attention backend computes at load than in training",
    source="our own; no known report",
    patches={"sft_ref.reference.sft.load": broken_load},
)
