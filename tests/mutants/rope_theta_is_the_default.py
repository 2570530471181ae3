"""The configuration's rope_theta has moved, is not found, and falls back to a default."""

from pathlib import Path

from mutation import Mutant

from sft_ref import BaseLLM
from sft_ref.reference import sft

load = sft.load


def broken_load(folder: Path) -> BaseLLM:
    llm = load(folder)
    for module in llm.model.modules():
        if hasattr(module, "inv_freq"):
            module.config.rope_parameters["rope_theta"] = 100.0
            module.inv_freq.copy_(module.compute_default_rope_parameters(module.config)[0])
    return llm


MUTANT = Mutant(
    id="rope-theta",
    stage="load",
    checks=("LOD-003", "LOD-007", "LOD-008"),
    fault="rotary embeddings take the default base frequency in place of the configured one",
    source="our own; no known report",
    patches={"sft_ref.reference.sft.load": broken_load},
)
