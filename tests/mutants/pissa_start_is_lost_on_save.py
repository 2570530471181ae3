"""PiSSA took the main components of the base into the adapter, and the saved configuration does not say so."""

from pathlib import Path
from typing import Any

from mutation import Mutant
from peft import LoraConfig, get_peft_model

from sft_ref.reference import adapter
from sft_ref.reference.precision import Policy

save_adapter = adapter.save_adapter


def add_pissa(model: Any, policy: Policy, *, rank: int, alpha: int) -> Any:
    config = LoraConfig(
        task_type="CAUSAL_LM", target_modules="all-linear", r=rank, lora_alpha=alpha, init_lora_weights="pissa"
    )
    peft_model = get_peft_model(model, config, autocast_adapter_dtype=False)
    adapter.cast_adapter(peft_model, policy)
    return peft_model


def save_plain(model: Any, base: str, folder: Path) -> None:
    model.peft_config["default"].init_lora_weights = True
    save_adapter(model, base, folder)


MUTANT = Mutant(
    id="pissa-lost",
    stage="artifact",
    checks=("ART-009",),
    fault="the saved configuration does not name PiSSA: once loaded, the base's main components count twice",
    source="own: an adapter of PiSSA that is saved without conversion",
    patches={
        "sft_ref.reference.adapter.add_adapter": add_pissa,
        "sft_ref.reference.adapter.save_adapter": save_plain,
    },
    retrain=True,
)
