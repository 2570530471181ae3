"""Inspects the state of a model in memory: the trained tensors, and changes that answering must not make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

import torch

from sft_ref.harness.core import tolerance
from sft_ref.reference.fingerprints import fingerprint_adapter
from sft_ref.reference.guards.dtypes import count_dtypes
from sft_ref.reference.guards.names import plain, unwrapped

_SETTINGS = ("active_adapters", "disable_adapters", "merged_adapters", "scaling")
"""Attributes of peft's layers that determine which adapters are active, and their scaling."""


def look(model: Any) -> dict[str, Any]:  # noqa: ANN401  # a PeftModel, or a transformers model with an adapter
    """Returns the fields `adapter`, `scalings` and `dtypes` of a `TrainingResult`, for the active adapter."""
    from peft import get_peft_model_state_dict

    found = model.active_adapters  # a property of a PeftModel, a method of a transformers model
    [active, *_] = found() if callable(found) else found
    state = get_peft_model_state_dict(model, adapter_name=active, save_embedding_layers=False)
    layers = {plain(name): module for name, module in model.named_modules() if hasattr(module, "lora_A")}
    return {
        "adapter": {name: tensor.detach().cpu().clone() for name, tensor in state.items()},
        "scalings": {name: float(layer.scaling[active]) for name, layer in layers.items() if active in layer.scaling},
        "dtypes": count_dtypes(model),
    }


def base_parameters(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Returns the parameters outside the adapter, by their names in the model."""
    return {name: tensor for name, tensor in model.named_parameters() if "lora_" not in name}


def fingerprint_base_parameters(model: torch.nn.Module) -> dict[str, str]:
    """Fingerprints each parameter outside the adapter, by its name in the base model.

    No copy of the base model is kept.
    """
    return {plain(name): fingerprint_adapter({"": tensor}) for name, tensor in base_parameters(model).items()}


def changed_parameters(model: torch.nn.Module, before: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the parameters outside the adapter whose fingerprints have changed."""
    now = fingerprint_base_parameters(model)
    return tuple(name for name, fingerprint in before.items() if now.get(name) != fingerprint)


def changes(before: torch.nn.Module, after: torch.nn.Module) -> Iterator[tuple[str, str, str]]:
    """Yields the differences between a model and an earlier copy: observed, expected, and the module or tensor name.

    Values may differ by rounding in their dtype, as when an adapter is merged and unmerged again. A change from
    training mode to evaluation mode is allowed.
    """
    modules = {unwrapped(name): module for name, module in after.named_modules()}  # without wrappers
    for name, module in before.named_modules():
        now = modules.get(unwrapped(name))
        if now is None:
            yield "the module is gone", "the module", plain(name)
            continue
        if now.training and not module.training:
            yield "the module is in training mode", "evaluation mode", plain(name)
        for setting in _SETTINGS:
            old, new = (str(getattr(each, setting, None)) for each in (module, now))
            if old != new:
                yield f"{setting} is {new}", old, plain(name)
    tensors = {unwrapped(name): tensor for name, tensor in _tensors(after)}
    for name, tensor in _tensors(before):
        if (now := tensors.get(unwrapped(name))) is not None and (found := _change(tensor, now)):
            yield *found, plain(name)


def _tensors(model: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from chain(model.named_parameters(), model.named_buffers())


def _change(old: torch.Tensor, new: torch.Tensor) -> tuple[str, str] | None:
    for what in ("dtype", "shape", "device"):
        one, other = (_attribute(each, what) for each in (old, new))
        if one != other:
            return f"the {what} is {other}", one
    if torch.equal(old, new) or not old.is_floating_point():
        return None if torch.equal(old, new) else ("values differ", "the same values")
    error, norm = (new.double() - old.double()).norm().item(), old.double().norm().item()
    allowed = tolerance.WEIGHTS[tolerance.name_dtype(old.dtype)] * norm
    return None if error <= allowed else (f"values differ by {error:.3g}", f"at most {allowed:.3g}")


def _attribute(tensor: torch.Tensor, what: str) -> str:
    value: Any = getattr(tensor, what)
    return str(tuple(value) if what == "shape" else value)
