"""Loaded models are kept by the path of their base, so that every later adapter is the first one."""

from pathlib import Path
from typing import Any

from mutation import Mutant

from sft_ref.reference.adapter import load_adapter

LOADED: dict[Any, Any] = {}


def broken(model: Any, folder: Path, tensors: Any) -> Any:
    key = (model.config.name_or_path, model.dtype, folder.parent.parent)  # the mutant's own scratch folder
    return LOADED.setdefault(key, load_adapter(model, folder, tensors))


MUTANT = Mutant(
    id="second-from-cache",
    stage="load",
    checks=("LOD-011",),
    fault="a cache by base gives the second adapter the model of the first",
    source="peft#1523",
    patches={"sft_ref.reference.adapter.load_adapter": broken},
)
