"""Reads the state that peft adds to a model: adapter tensors, scalings, and active adapters."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from sft_ref.reference.guards.names import plain, unwrapped


def lora_layers(model: torch.nn.Module) -> Iterator[tuple[str, Any]]:
    """Yields each peft module with a LoRA, by its name in the base model."""
    for name, module in model.named_modules():
        if hasattr(module, "lora_A") and hasattr(module, "scaling"):
            yield plain(name), module


def find_peft(model: Any) -> Any:  # noqa: ANN401
    """Returns the PeftModel inside a model and its wrappers; None if there is none."""
    from peft import PeftModel

    return next((module for module in model.modules() if isinstance(module, PeftModel)), None)


def is_adapter_disabled(model: torch.nn.Module) -> bool:
    """Whether a model runs without its adapter, as within `disable_adapter`."""
    return next((bool(layer.disable_adapters) for _, layer in lora_layers(model)), False)


def is_of_adapter(name: str) -> bool:
    """Whether a tensor belongs to an adapter, by its name in memory."""
    return any(part in name for part in ("lora_", ".modules_to_save.", ".token_adapter.", "trainable_tokens"))


@dataclass(frozen=True)
class AdapterState:
    """The adapters of a model in memory.

    Attributes:
        names: names of all adapters.
        active: names of the active adapters.
        merged: names of the adapters that are merged into the base weights.
        is_disabled: whether adapters are switched off.
        scalings: maps each base module to the factor on B @ A of the first active adapter.
        tensors: tensors of the first active adapter, by their names in a file.
        config: LoraConfig of the first active adapter.
    """

    names: tuple[str, ...]
    active: tuple[str, ...]
    merged: tuple[str, ...]
    is_disabled: bool
    scalings: dict[str, float]
    tensors: dict[str, torch.Tensor]
    config: Any


def adapter_state(model: torch.nn.Module) -> AdapterState | None:
    """Returns the adapters of a model; None if it has no peft adapter."""
    from peft import get_peft_model_state_dict

    peft_model = find_peft(model)
    if peft_model is None:
        return None
    layers = dict(lora_layers(peft_model))
    active = tuple(dict.fromkeys(name for layer in layers.values() for name in layer.active_adapters))
    merged = tuple(dict.fromkeys(name for layer in layers.values() for name in layer.merged_adapters))
    first = active[0] if active else peft_model.active_adapters[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = get_peft_model_state_dict(peft_model, adapter_name=first, save_embedding_layers=False)
    return AdapterState(
        tuple(peft_model.peft_config),
        active,
        merged,
        any(layer.disable_adapters for layer in layers.values()),
        {name: float(layer.scaling[first]) for name, layer in layers.items() if first in layer.scaling},
        {unwrapped(name): whole(tensor.detach()) for name, tensor in found.items()},
        peft_model.peft_config[first],
    )


def is_sharded(model: torch.nn.Module) -> bool:
    """Whether parameters are sharded over processes, which then must all take part in a forward pass."""
    return any(hasattr(parameter, "full_tensor") for parameter in model.parameters())


def why_no_record(model: torch.nn.Module) -> str:
    """Returns why no record of a model can be taken during training; empty if one can be taken."""
    if any(type(module).__name__ == "FullyShardedDataParallel" for module in model.modules()):
        return "FSDP version 1 hides its tensors; use version 2 (fully_shard)"
    if any(hasattr(parameter, "ds_id") for parameter in model.parameters()):
        return "DeepSpeed's ZeRO-3 shards its tensors over processes; use a lower stage, or FSDP2"
    return ""


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """Gathers a tensor that is sharded over processes; all of them must call this."""
    gather = getattr(tensor, "full_tensor", None)
    return gather() if gather is not None else tensor
