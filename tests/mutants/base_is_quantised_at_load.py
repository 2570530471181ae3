"""The base under the adapter is stored in 4 bits, and dequantised in each forward."""

from pathlib import Path

import torch
from mutation import Mutant

from sft_ref import BaseLLM
from sft_ref.reference import sft

load = sft.load


class FourBits(torch.nn.Module):
    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        step = linear.weight.detach().abs().amax(1, keepdim=True) / 7
        self.register_buffer("step", step)
        self.register_buffer("whole", (linear.weight.detach() / step).round().to(torch.int8))

    @property
    def weight(self) -> torch.Tensor:
        return self.get_buffer("whole") * self.get_buffer("step")

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(values, self.weight.to(values))


def broken_load(folder: Path) -> BaseLLM:
    llm = load(folder)
    for module in llm.model.modules():
        if hasattr(module, "lora_A"):
            module.base_layer = FourBits(module.base_layer)
    return llm


MUTANT = Mutant(
    id="base-4-bits",
    stage="load",
    checks=("LOD-004", "LOD-005", "LOD-009"),
    fault="the adapter was trained over fp32 weights, and is loaded over a base in 4 bits",
    source="own: load_in_4bit at inference alone",
    patches={"sft_ref.reference.sft.load": broken_load},
)
