"""The layer under the adapter is scaled while it computes; every stored value is right."""

from pathlib import Path

from mutation import Mutant

from sft_ref import BaseLLM
from sft_ref.reference import sft

load = sft.load


def broken_load(folder: Path) -> BaseLLM:
    llm = load(folder)
    for layer in llm.model.get_base_model().model.layers:
        inner = layer.mlp.down_proj.base_layer
        inner.register_forward_hook(lambda _module, _args, output: output * 0.98)
    return llm


MUTANT = Mutant(
    id="base-scaled",
    stage="load",
    checks=("LOD-004", "LOD-009"),
    fault="a factor of another model family is applied to what the layer under the adapter puts out",
    source="own: a residual multiplier that the base was not trained with",
    patches={"sft_ref.reference.sft.load": broken_load},
)
