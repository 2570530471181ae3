"""The adapter of another name is trained, and the one named default is saved.

Accuracy 0.00; sound 1.00.
"""

from pathlib import Path
from typing import Any

from mutation import Mutant

from sft_ref.reference.adapter import add_adapter, cast_adapter
from sft_ref.reference.precision import Policy


def add_two(model: Any, policy: Policy, **settings: Any) -> Any:
    peft_model: Any = add_adapter(model, policy, **settings)
    peft_model.add_adapter("task", peft_model.peft_config["default"], autocast_adapter_dtype=False)
    peft_model.set_adapter("task")
    cast_adapter(peft_model, policy)
    return peft_model


def save_default(model: Any, base: str, folder: Path) -> None:
    model.peft_config["default"].base_model_name_or_path = base
    model.save_pretrained(str(folder), save_embedding_layers=False, selected_adapters=["default"])
    model.delete_adapter("task")


MUTANT = Mutant(
    id="other_adapter_saved",
    stage="artifact",
    checks=(),
    fault="the saved adapter is the untrained one of the model's two",
    source="no report",
    patches={
        "sft_ref.reference.adapter.add_adapter": add_two,
        "sft_ref.reference.adapter.save_adapter": save_default,
    },
    retrain=True,
)
