"""Computes a base model's weights with an adapter, from tensors and configuration, without peft's forward."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch

from sft_ref.harness.evidence.adapter import AdaptedParameter
from sft_ref.harness.instruments.deltas import dora_delta
from sft_ref.harness.instruments.token_rows import TRAINED_ROWS, trained_ids
from sft_ref.io.lora_config import AdapterConfig

_PREFIX = "base_model.model."


class UnknownLayerError(Exception):
    """The weights of this kind of module are not computed here; the message names the kind."""


def expected_parameters(
    model: Any,  # noqa: ANN401
    tensors: Mapping[str, torch.Tensor],
    config: AdapterConfig,
    places: Iterable[AdaptedParameter],
) -> Iterator[tuple[AdaptedParameter, torch.Tensor]]:
    """Yields each adapted parameter of the base with its delta added, in fp32, one at a time; the base is not changed.

    Raises:
        UnknownLayerError: the kind of a module is not supported here.
    """
    for place in places:
        weight = getattr(model.get_submodule(place.module), place.parameter).detach().float()
        yield place, weight + _delta(model.get_submodule(place.module), weight, tensors, config, place)


def merged_weights(
    model: Any,  # noqa: ANN401
    tensors: Mapping[str, torch.Tensor],
    config: AdapterConfig,
    places: Iterable[AdaptedParameter],
    read: Callable[[str], torch.Tensor],
) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    """Yields each base weight that a merge changes: its name, its base value and its merged value, in fp32.

    A weight with several adapters, or one that is saved in full (modules_to_save), is yielded once.

    Args:
        model: base model, on the meta device.
        tensors: tensors of the adapter.
        config: configuration of the adapter.
        places: parameters of the base model that the adapter adds to.
        read: returns a weight of the base model by name, in fp32.

    Raises:
        UnknownLayerError: the kind of a module is not supported here.
    """
    for name in tensors:
        own = name.removeprefix(_PREFIX).replace(".base_layer", "")
        if ".lora_" not in name and not name.endswith(TRAINED_ROWS):
            yield own, read(own), tensors[name].float()
    for place in places:
        weight = read(f"{place.module}.{place.parameter}")
        yield (
            f"{place.module}.{place.parameter}",
            weight,
            weight + _delta(model.get_submodule(place.module), weight, tensors, config, place),
        )


def put_expected_weights(
    model: Any,  # noqa: ANN401
    tensors: Mapping[str, torch.Tensor],
    config: AdapterConfig,
    places: Iterable[AdaptedParameter],
) -> None:
    """Sets all weights that the adapter implies on the base model, in place.

    Raises:
        UnknownLayerError: the kind of a module is not supported here.
    """
    if config.options.get("ensure_weight_tying"):
        raise UnknownLayerError("ensure_weight_tying")
    whole = {
        name.removeprefix(_PREFIX).replace(".base_layer", ""): tensor
        for name, tensor in tensors.items()
        if ".lora_" not in name and not name.endswith(TRAINED_ROWS)
    }
    saved = [
        name
        for name in whole
        if any(f".{each}." in f".{name.rpartition('.')[0]}." for each in config.options.get("modules_to_save", ()))
    ]
    with torch.no_grad():
        for name, tensor in whole.items():
            if name not in saved:
                module, _, parameter = name.rpartition(".")
                getattr(model.get_submodule(module), parameter).copy_(tensor)  # changes tied weights too, as peft does
        for place, weight in expected_parameters(model, tensors, config, places):
            _set(model, f"{place.module}.{place.parameter}", weight)  # tied weights keep their values
            _put_bias(model, tensors, config, place)
        for name in saved:
            _set(model, name, whole[name].float())
        for name, tensor in tensors.items():
            if name.endswith(TRAINED_ROWS):
                module = name.removeprefix(_PREFIX).removesuffix(TRAINED_ROWS)
                model.get_submodule(module).weight[trained_ids(config.options, module)] = tensor.float()


def _delta(
    module: Any,  # noqa: ANN401
    weight: torch.Tensor,
    tensors: Mapping[str, torch.Tensor],
    config: AdapterConfig,
    place: AdaptedParameter,
) -> torch.Tensor:
    """Returns the adapter's addition to a parameter, in the parameter's own shape."""
    from transformers.pytorch_utils import Conv1D

    is_embedding = isinstance(module, torch.nn.Embedding)
    sides = ("lora_embedding_A", "lora_embedding_B") if is_embedding else ("lora_A.weight", "lora_B.weight")
    a, b, magnitude = (tensors.get(f"{_PREFIX}{place.path}.{name}") for name in (*sides, "lora_magnitude_vector"))
    is_matrix = weight.ndim == 2  # noqa: PLR2004
    is_stack = weight.ndim == 3  # noqa: PLR2004  # of experts
    is_known = is_matrix or is_stack or place.parameter != "weight" or isinstance(module, torch.nn.Linear | Conv1D)
    if a is None or b is None or not is_known:
        raise UnknownLayerError(type(module).__name__)
    if is_embedding and magnitude is not None:
        raise UnknownLayerError("DoRA on an embedding")
    if is_stack:  # (experts, out, in), or (experts, in, out) where the module says so
        a = a.float().reshape(len(weight), -1, a.shape[-1])  # (experts, rank, in)
        b = b.float().reshape(b.shape[0], -1, len(weight))  # (out, rank, experts)
        delta = torch.einsum("ore,eri->eoi", b, a) * _scaling(place, config, a.shape[1])
        return delta.transpose(1, 2) if getattr(module, "is_transposed", False) else delta
    delta = _scaling(place, config, len(a)) * (b.float() @ a.float())
    is_transposed = is_embedding or isinstance(module, Conv1D)  # (in, out)
    if magnitude is not None:
        delta = dora_delta(weight.T if is_transposed else weight, delta, magnitude)
    return delta.T if is_transposed else delta


def _scaling(place: AdaptedParameter, config: AdapterConfig, rank: int) -> float:
    from peft.utils.other import get_pattern_key

    alpha = config.alpha_pattern.get(get_pattern_key(list(config.alpha_pattern), place.key), config.alpha)
    return alpha / (math.sqrt(rank) if config.use_rslora else rank)


def _put_bias(model: Any, tensors: Mapping[str, torch.Tensor], config: AdapterConfig, place: AdaptedParameter) -> None:  # noqa: ANN401
    """Adds the bias of lora_B, scaled like the matrices, if there is one."""
    bias = tensors.get(f"{_PREFIX}{place.path}.lora_B.bias")
    if bias is None:
        return
    if config.use_dora:
        raise UnknownLayerError("DoRA with lora_bias")
    own = model.get_submodule(place.module).bias
    delta = bias.float() * _scaling(place, config, len(tensors[f"{_PREFIX}{place.path}.lora_A.weight"]))
    _set(model, f"{place.module}.bias", delta if own is None else own.detach() + delta)


def _set(model: Any, name: str, value: torch.Tensor) -> None:  # noqa: ANN401
    """Replaces a parameter by a separate one; parameters that were tied to it keep the old values."""
    module, _, parameter = name.rpartition(".")
    setattr(model.get_submodule(module), parameter, torch.nn.Parameter(value.clone(), requires_grad=False))
