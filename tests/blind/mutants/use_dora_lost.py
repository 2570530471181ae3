"""The adapter is trained with DoRA and exported as plain LoRA, without its magnitudes. Accuracy 1.00; sound 1.00."""

from pathlib import Path
from typing import Any

import torch
from _files import rewrite
from mutation import Mutant
from peft import LoraConfig, get_peft_model

from sft_ref.reference.adapter import cast_adapter, save_adapter
from sft_ref.reference.precision import Policy


def add_dora(model: Any, policy: Policy, *, rank: int, alpha: int) -> Any:
    config = LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", r=rank, lora_alpha=alpha, use_dora=True)
    peft_model = get_peft_model(model, config, autocast_adapter_dtype=False)
    cast_adapter(peft_model, policy)
    return peft_model


def save_without_magnitudes(model: Any, base: str, folder: Path) -> None:
    for module in model.modules():
        if hasattr(module, "lora_magnitude_vector"):
            module.lora_magnitude_vector = torch.nn.ModuleDict()
            module.use_dora = {"default": False}
    model.peft_config["default"].use_dora = False
    save_adapter(model, base, folder)
    rewrite(folder, lambda tensors: {name: each for name, each in tensors.items() if "magnitude" not in name})


MUTANT = Mutant(
    id="use_dora_lost",
    stage="artifact",
    checks=(),
    fault="an adapter that was trained with DoRA is saved as plain LoRA",
    source="Megatron-Bridge#6031",
    patches={
        "sft_ref.reference.adapter.add_adapter": add_dora,
        "sft_ref.reference.adapter.save_adapter": save_without_magnitudes,
    },
    retrain=True,
)
