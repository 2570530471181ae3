"""The base is kept in memory and changed in place: a model loaded before answers with the adapter loaded last.

Accuracy 1.00; sound 1.00, as the tool loads one adapter only.
"""

from pathlib import Path
from typing import Any

from mutation import Mutant

from sft_ref.reference.adapter import load_adapter

LOADED: dict[Any, Any] = {}


def broken(model: Any, folder: Path, tensors: Any) -> Any:
    loaded = load_adapter(model, folder, tensors)
    base = (model.config.name_or_path, model.dtype)
    first = LOADED.setdefault(base, loaded)
    if first is not loaded:
        first.base_model, first.peft_config = loaded.base_model, loaded.peft_config
    return first


MUTANT = Mutant(
    id="loaded_models_share_one_base",
    stage="load",
    checks=(),
    fault="loading a second adapter on the same base replaces the first one in the model loaded before",
    source="no report",
    patches={"sft_ref.reference.adapter.load_adapter": broken},
)
