"""The scaling is kept in an integer field of another format."""

from typing import Any

from mutation import Mutant
from peft.tuners.lora import LoraLayer

from sft_ref.reference.adapter import load_adapter


def rounded(*args: Any) -> Any:
    model: Any = load_adapter(*args)
    for module in model.modules():
        if isinstance(module, LoraLayer):
            module.scaling["default"] = float(round(module.scaling["default"]))
    return model


MUTANT = Mutant(
    id="scale-rounded",
    stage="load",
    checks=("LOD-011",),
    fault="the scaling of a loaded adapter is rounded to an integer",
    source="ours, of no report",
    patches={"sft_ref.reference.adapter.load_adapter": rounded},
)
