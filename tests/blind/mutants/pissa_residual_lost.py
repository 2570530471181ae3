"""PiSSA moves the principal components from the base to the adapter; the saved adapter is put on the whole base.

Last loss 0.0060; sound 0.0027. Accuracy 0.00; sound 1.00.
"""

from pathlib import Path
from typing import Any

from mutation import Mutant
from peft import LoraConfig, get_peft_model

from sft_ref.reference.adapter import cast_adapter, save_adapter
from sft_ref.reference.precision import Policy


def add_pissa(model: Any, policy: Policy, *, rank: int, alpha: int) -> Any:
    config = LoraConfig(
        task_type="CAUSAL_LM", target_modules="all-linear", r=rank, lora_alpha=alpha, init_lora_weights="pissa"
    )
    peft_model = get_peft_model(model, config, autocast_adapter_dtype=False)
    cast_adapter(peft_model, policy)
    return peft_model


def save_plain(model: Any, base: str, folder: Path) -> None:
    model.peft_config["default"].init_lora_weights = True
    save_adapter(model, base, folder)


MUTANT = Mutant(
    id="pissa_residual_lost",
    stage="artifact",
    checks=(),
    fault="an adapter on PiSSA's residual is saved as if it belonged on the base itself",
    source="no report",
    patches={
        "sft_ref.reference.adapter.add_adapter": add_pissa,
        "sft_ref.reference.adapter.save_adapter": save_plain,
    },
    retrain=True,
)
