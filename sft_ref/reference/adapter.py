"""Adds a LoRA adapter to a base, saves it, and loads it from its folder. Independent of questions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from sft_ref.io.lora_config import read_lora
from sft_ref.reference.guards.adapter_files import check_fits, fitting

from .precision import Policy

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


def add_adapter(model: PreTrainedModel, policy: Policy, *, rank: int, alpha: int) -> PeftModel:
    """Adds an untrained LoRA adapter to every Linear layer except the head, in the policy's adapter dtype."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        task_type="CAUSAL_LM", target_modules="all-linear", bias="none", r=rank, lora_alpha=alpha, lora_dropout=0.0
    )
    peft_model = get_peft_model(model, config, autocast_adapter_dtype=False)
    cast_adapter(peft_model, policy)
    return peft_model


def cast_adapter(model: PeftModel, policy: Policy) -> None:
    """Casts the adapter's tensors to the policy's adapter dtype, in place."""
    for name, tensor in model.named_parameters():
        if "lora_" in name:
            tensor.data = tensor.data.to(getattr(torch, policy.adapter))


def save_adapter(model: PeftModel, base: str, folder: Path) -> None:
    """Writes the configuration and tensors with peft; `base` is the name of the base, not its path on this machine."""
    model.peft_config["default"].base_model_name_or_path = base
    model.save_pretrained(str(folder), save_embedding_layers=False)


def load_adapter(model: PreTrainedModel, folder: Path, tensors: dict[str, torch.Tensor]) -> PeftModel:
    """Adds a saved adapter to its base, in the dtype in which it is stored.

    Raises:
        AdapterError: the configuration cannot be used, or the adapter does not fit the base.
    """
    from peft import PeftModel

    config = read_lora(folder)
    check_fits(model, config, folder, tensors)
    with fitting(folder):
        peft_model = PeftModel.from_pretrained(
            model, str(folder), config=config.for_peft(), autocast_adapter_dtype=False
        )
    for name, parameter in peft_model.named_parameters():
        stored = tensors.get(name.replace(".default", ""))
        if stored is not None:  # peft casts tensors on loading, by rules that depend on its version
            parameter.data = stored.to(parameter.device)
    return peft_model
