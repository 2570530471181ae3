"""The adapter is trained with alpha / sqrt(rank), and its configuration gives alpha / rank.

Accuracy 1.00; sound 1.00.
"""

from pathlib import Path
from typing import Any

from mutation import Mutant
from peft import LoraConfig, get_peft_model

from sft_ref.reference.adapter import cast_adapter, save_adapter
from sft_ref.reference.precision import Policy


def add_rslora(model: Any, policy: Policy, *, rank: int, alpha: int) -> Any:
    config = LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", r=rank, lora_alpha=alpha, use_rslora=True)
    peft_model = get_peft_model(model, config, autocast_adapter_dtype=False)
    cast_adapter(peft_model, policy)
    return peft_model


def save_plain(model: Any, base: str, folder: Path) -> None:
    model.peft_config["default"].use_rslora = False
    save_adapter(model, base, folder)


MUTANT = Mutant(
    id="rslora_lost",
    stage="artifact",
    checks=(),
    fault="the stored configuration loses use_rslora, and with it two thirds of the scaling",
    source="no report",
    patches={
        "sft_ref.reference.adapter.add_adapter": add_rslora,
        "sft_ref.reference.adapter.save_adapter": save_plain,
    },
    retrain=True,
)
