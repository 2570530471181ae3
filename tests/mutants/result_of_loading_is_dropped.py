"""The adapter is put on one model, and another one answers."""

from pathlib import Path

from mutation import Mutant

from sft_ref import BaseLLM
from sft_ref.reference import sft

load = sft.load


def broken_load(folder: Path) -> BaseLLM:
    llm = load(folder)
    return BaseLLM("toy", policy=llm.policy)


MUTANT = Mutant(
    id="A8",
    stage="load",
    checks=("LOD-002", "LOD-003", "LOD-005"),
    fault="the model with the adapter is made and dropped; the base answers",
    source="signet-trainer#105",
    patches={"sft_ref.reference.sft.load": broken_load},
)
