"""Evaluation brings its own dtype."""

from pathlib import Path

from mutation import Mutant

from sft_ref import BaseLLM
from sft_ref.reference import sft

load = sft.load


def broken_load(folder: Path) -> BaseLLM:
    llm = load(folder)
    llm.model.half()
    return llm


MUTANT = Mutant(
    id="P22",
    stage="load",
    checks=("LOD-005", "LOD-007"),
    fault="what was trained in fp32 is evaluated in fp16",
    source="opencompass#1381",
    patches={"sft_ref.reference.sft.load": broken_load},
)
