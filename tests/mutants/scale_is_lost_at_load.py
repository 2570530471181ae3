"""A loader written by hand adds B @ A and forgets alpha / rank."""

from pathlib import Path

from mutation import Mutant

from sft_ref import BaseLLM
from sft_ref.reference import sft

load = sft.load


def broken_load(folder: Path) -> BaseLLM:
    llm = load(folder)
    for module in llm.model.modules():
        if hasattr(module, "lora_A"):
            module.scaling["default"] = 1.0
    return llm


MUTANT = Mutant(
    id="scale",
    stage="load",
    checks=("LOD-002", "LOD-008"),
    fault="the scale alpha / rank is lost when the adapter is loaded",
    source="our own; no known report",
    patches={"sft_ref.reference.sft.load": broken_load},
)
