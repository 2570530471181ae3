"""The second adapter is copied into the model of the first, which then answers with it."""

from pathlib import Path
from typing import Any

from mutation import Mutant

from sft_ref.reference.adapter import load_adapter

LOADED: list[Any] = []


def broken(model: Any, folder: Path, tensors: Any) -> Any:
    second = load_adapter(model, folder, tensors)
    for first in LOADED:
        own = dict(first.named_parameters())
        for name, tensor in second.named_parameters():
            if "lora_B" in name and name in own and own[name].shape[0] == tensor.shape[0]:
                own[name].data.zero_()
                own[name].data[:, : tensor.shape[1]] = tensor.data.to(own[name].dtype)
    LOADED.append(second)
    return second


MUTANT = Mutant(
    id="second-over-first",
    stage="load",
    checks=("LOD-011",),
    fault="loading a second adapter overwrites the first model's",
    source="peft#940",
    patches={"sft_ref.reference.adapter.load_adapter": broken},
)
