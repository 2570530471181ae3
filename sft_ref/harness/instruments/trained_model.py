"""What `TrainingResult` tells of a model with a LoRA adapter that is still in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sft_ref.reference.fingerprints import fingerprint_adapter
from sft_ref.reference.guards.dtypes import count_dtypes
from sft_ref.reference.guards.names import plain

if TYPE_CHECKING:
    import torch


def look(model: Any) -> dict[str, Any]:  # noqa: ANN401  # a PeftModel
    """The fields `adapter`, `scalings` and `dtypes` of a `TrainingResult`."""
    from peft import get_peft_model_state_dict

    state = get_peft_model_state_dict(model, save_embedding_layers=False)
    layers = {plain(name): module for name, module in model.named_modules() if hasattr(module, "lora_A")}
    return {
        "adapter": {name: tensor.detach().cpu().clone() for name, tensor in state.items()},
        "scalings": {name: float(layer.scaling["default"]) for name, layer in layers.items()},
        "dtypes": count_dtypes(model),
    }


def base_parameters(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The parameters outside the adapter, by their names in the model."""
    return {name: tensor for name, tensor in model.named_parameters() if "lora_" not in name}


def fingerprint_base_parameters(model: torch.nn.Module) -> dict[str, str]:
    """A fingerprint of each parameter outside the adapter, by its name in the base: no copy of the base is kept."""
    return {plain(name): fingerprint_adapter({"": tensor}) for name, tensor in base_parameters(model).items()}


def changed_parameters(model: torch.nn.Module, before: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the parameters outside the adapter whose fingerprints are others than before."""
    now = fingerprint_base_parameters(model)
    return tuple(name for name, fingerprint in before.items() if now.get(name) != fingerprint)
