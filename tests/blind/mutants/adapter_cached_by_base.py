"""Loaded models are cached under their base: every later adapter on that base is the first one.

Accuracy 1.00, as the tool loads one adapter only; sound 1.00.
"""

from pathlib import Path
from typing import Any

from mutation import Mutant

from sft_ref.reference.adapter import load_adapter

CACHE: dict[Any, Any] = {}


def broken(model: Any, folder: Path, tensors: Any) -> Any:
    base = (model.config.name_or_path, model.dtype)
    if base not in CACHE:
        CACHE[base] = load_adapter(model, folder, tensors)
    return CACHE[base]


MUTANT = Mutant(
    id="adapter_cached_by_base",
    stage="load",
    checks=(),
    fault="a second adapter on the same base is answered by the first one",
    source="no report",
    patches={"sft_ref.reference.adapter.load_adapter": broken},
)
