"""Sketches a model's weights: a few values of each base tensor, and the adapter's delta at these values.

For each tensor, the sketch distinguishes another base model from a rounded one, and an adapter that is merged once from
one that is merged twice or not at all, without needing the trained weights.
"""

from __future__ import annotations

import copy
import zlib
from dataclasses import dataclass
from typing import Any

import torch

from sft_ref.reference.guards.names import plain

from .layers import is_of_adapter, lora_layers, whole

SAMPLES = 16
"""Number of recorded values of a tensor."""

MOST_TENSORS = 1500
"""Maximum number of sketched tensors; for a model with more, they are sampled at even distances."""


@dataclass(frozen=True)
class Sketch:
    """Sampled values of the base model's tensors.

    Attributes:
        names: tensor names in the base model.
        index: flat index of each value, int64 of shape (tensors, samples).
        value: base values in fp32, of the same shape.
        added: the adapter's delta at these values, in fp32; NaN if the tensor has no adapter.
    """

    names: tuple[str, ...]
    index: torch.Tensor
    value: torch.Tensor
    added: torch.Tensor


def sketch_model(model: torch.nn.Module) -> Sketch:
    """Sketches a model whose adapter is not merged, or a model without an adapter."""
    layers = dict(lora_layers(model))
    tensors = dict(base_tensors(model))
    step = -(-len(tensors) // MOST_TENSORS)
    names, rows = [], []
    for name in list(tensors)[::step]:
        tensor = tensors[name]
        if not tensor.numel() or not tensor.is_floating_point():
            continue
        layer = layers.get(name.removesuffix(".weight")) if name.endswith(".weight") else None
        found = _sample_adapted(layer, name) if layer is not None else None
        index = _places(name, tensor.numel()) if found is None else found[0]
        added = torch.full((SAMPLES,), torch.nan) if found is None else found[1]
        names.append(name)
        rows.append((index, values_at(tensor, index), added))
    if not rows:
        empty = torch.zeros(0, SAMPLES)
        return Sketch((), empty.long(), empty, empty)
    index, value, added = (torch.stack(each) for each in zip(*rows, strict=True))
    return Sketch(tuple(names), index, value, added)


def base_tensors(model: torch.nn.Module, *, tied: bool = False) -> list[tuple[str, torch.Tensor]]:
    """Lists parameters and float buffers of the base model under an adapter, by their names in the base model.

    Args:
        model: with or without an adapter.
        tied: whether a tied parameter is also listed under its own name.
    """
    found: dict[str, torch.Tensor] = {}
    named = [
        *model.named_parameters(remove_duplicate=not tied),
        *((n, b) for n, b in model.named_buffers() if b.is_floating_point()),
    ]
    for name, tensor in named:
        if not is_of_adapter(name):
            found.setdefault(plain(name).replace(".original_module", ""), tensor)
    return list(found.items())


def values_at(tensor: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Returns the values at flat indices, in fp32 on the CPU."""
    flat = whole(tensor.detach()).reshape(-1)
    return flat[index.to(flat.device)].float().cpu()


def _places(name: str, size: int) -> torch.Tensor:
    """Draws flat indices with a random seed derived from the name."""
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    return torch.randint(0, size, (SAMPLES,), generator=generator)


def _sample_adapted(layer: Any, name: str) -> tuple[torch.Tensor, torch.Tensor] | None:  # noqa: ANN401
    """Samples where a LoRA changes a weight most in some input columns; None if that cannot be observed.

    Returns flat indices and deltas. They are computed by the layer itself, in fp32 with one-hot inputs, so that they
    are right for every kind of LoRA.
    """
    base = layer.get_base_layer()
    weight = base.weight
    if (
        type(base).__name__ not in {"Linear", "Conv1D"}
        or not weight.is_floating_point()
        or hasattr(weight, "full_tensor")
    ):
        return None
    is_transposed = type(base).__name__ == "Conv1D"
    inputs = weight.shape[0 if is_transposed else 1]
    columns = _places(name, inputs)
    twin = copy.deepcopy(layer).float().eval()
    one_hot = torch.zeros(SAMPLES + 1, inputs, device=weight.device)
    one_hot[torch.arange(SAMPLES), columns.to(weight.device)] = 1.0
    with torch.no_grad(), torch.autocast(weight.device.type, enabled=False):
        output = twin(one_hot)
        plain_output = twin.get_base_layer()(one_hot)
    added = ((output[:-1] - output[-1]) - (plain_output[:-1] - plain_output[-1])).cpu()
    rows = added.abs().argmax(dim=1)
    index = columns * weight.shape[1] + rows if is_transposed else rows * weight.shape[1] + columns
    return index, added[torch.arange(SAMPLES), rows]
