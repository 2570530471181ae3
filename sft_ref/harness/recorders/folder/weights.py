"""The weights that an adapter makes of its base, computed from tensors and configuration, without peft's forward."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch

from sft_ref.harness.evidence.adapter import Place
from sft_ref.io.lora_config import AdapterConfig

_PREFIX = "base_model.model."
_TOKENS = ".token_adapter.trainable_tokens_delta"


class UnknownLayerError(Exception):
    """What an adapter adds to this kind of module is not computed here; the message names the kind."""


def expected_parameters(
    model: Any,  # noqa: ANN401
    tensors: Mapping[str, torch.Tensor],
    config: AdapterConfig,
    places: Iterable[Place],
) -> Iterator[tuple[Place, torch.Tensor]]:
    """Each adapted parameter of the base with its addition, in fp32, one at a time; the base is left as it is.

    Raises:
        UnknownLayerError: a module is of a kind that is not known here.
    """
    for place in places:
        module = model.get_submodule(place.module)
        weight = getattr(module, place.parameter).detach().float()
        own = {name: tensors.get(f"{_PREFIX}{place.path}.{name}") for name in _PARTS}
        if weight.ndim == 3:  # noqa: PLR2004  # experts in a stack
            yield place, weight + _for_experts(module, weight, own, config, place)
        else:
            yield place, _for_matrix(module, weight, own, config, place)


def put_expected_weights(
    model: Any,  # noqa: ANN401
    tensors: Mapping[str, torch.Tensor],
    config: AdapterConfig,
    places: Iterable[Place],
) -> None:
    """Makes of the base, in place, the model that the adapter stands for.

    Raises:
        UnknownLayerError: a module is of a kind that is not known here.
    """
    if config.options.get("ensure_weight_tying"):
        raise UnknownLayerError("ensure_weight_tying")
    saved = tuple(config.options.get("modules_to_save", ()))
    whole = {
        name.removeprefix(_PREFIX).replace(".base_layer", ""): tensor
        for name, tensor in tensors.items()
        if ".lora_" not in name and not name.endswith(_TOKENS)
    }
    with torch.no_grad():
        for name, tensor in whole.items():
            if not _is_of(name, saved):
                _parameter(model, name).copy_(tensor)  # with what is tied to it, as peft loads it
        for place, due in expected_parameters(model, tensors, config, places):
            _set(model.get_submodule(place.module), place.parameter, due)  # what is tied to it stays
            _put_bias(model.get_submodule(place.module), tensors, config, place)
        for name, tensor in whole.items():
            if _is_of(name, saved):
                module, _, parameter = name.rpartition(".")
                _set(model.get_submodule(module), parameter, tensor.float())
        for name, tensor in tensors.items():
            if name.endswith(_TOKENS):
                module = name.removeprefix(_PREFIX).removesuffix(_TOKENS)
                model.get_submodule(module).weight[_token_indices(config, module)] = tensor.float()


_PARTS = ("lora_A.weight", "lora_B.weight", "lora_embedding_A", "lora_embedding_B", "lora_magnitude_vector")


def _for_matrix(
    module: Any,  # noqa: ANN401
    weight: torch.Tensor,
    own: Mapping[str, torch.Tensor | None],
    config: AdapterConfig,
    place: Place,
) -> torch.Tensor:
    from transformers.pytorch_utils import Conv1D

    a, b, embedding_a, embedding_b, magnitude = (own[name] for name in _PARTS)
    if isinstance(module, torch.nn.Embedding) and embedding_a is not None and embedding_b is not None:
        if magnitude is not None:
            raise UnknownLayerError("DoRA on an embedding")
        return weight + _scaling(place, config, embedding_a.shape[0]) * (embedding_b.float() @ embedding_a.float()).T
    is_known = isinstance(module, torch.nn.Linear | Conv1D) or place.parameter != "weight" or weight.ndim == 2  # noqa: PLR2004
    if a is None or b is None or not is_known or isinstance(module, torch.nn.Embedding):
        raise UnknownLayerError(type(module).__name__)
    turned = isinstance(module, Conv1D)  # (in, out)
    whole = (weight.T if turned else weight) + _scaling(place, config, a.shape[0]) * (b.float() @ a.float())
    if magnitude is not None:  # arXiv:2402.09353
        whole = magnitude.float()[:, None] * whole / whole.norm(dim=1, keepdim=True)
    return whole.T if turned else whole


def _for_experts(
    module: Any,  # noqa: ANN401
    weight: torch.Tensor,
    own: Mapping[str, torch.Tensor | None],
    config: AdapterConfig,
    place: Place,
) -> torch.Tensor:
    """Of (experts, out, in), or (experts, in, out) where the module says so."""
    a, b = own["lora_A.weight"], own["lora_B.weight"]
    if a is None or b is None:
        raise UnknownLayerError(type(module).__name__)
    experts = weight.shape[0]
    a = a.float().reshape(experts, -1, a.shape[-1])  # (experts, rank, in)
    b = b.float().reshape(b.shape[0], -1, experts)  # (out, rank, experts)
    sum_ = torch.einsum("ore,eri->eoi", b, a) * _scaling(place, config, a.shape[1])
    return sum_.transpose(1, 2) if getattr(module, "is_transposed", False) else sum_


def _scaling(place: Place, config: AdapterConfig, rank: int) -> float:
    from peft.utils.other import get_pattern_key

    alpha = config.alpha_pattern.get(get_pattern_key(list(config.alpha_pattern), place.key), config.alpha)
    return alpha / (math.sqrt(rank) if config.use_rslora else rank)


def _token_indices(config: AdapterConfig, module: str) -> list[int]:
    indices = config.options["trainable_token_indices"]
    if isinstance(indices, dict):
        indices = next(each for name, each in indices.items() if f".{module}".endswith(f".{name}"))
    return list(indices)


def _is_of(name: str, modules: tuple[str, ...]) -> bool:
    """Whether a tensor belongs to one of the modules that are saved whole."""
    path = name.rpartition(".")[0]
    return any(f".{path}.".find(f".{each}.") >= 0 for each in modules)


def _parameter(model: Any, name: str) -> torch.Tensor:  # noqa: ANN401
    module, _, parameter = name.rpartition(".")
    found: torch.Tensor = getattr(model.get_submodule(module), parameter)
    return found


def _set(module: Any, parameter: str, value: torch.Tensor) -> None:  # noqa: ANN401
    setattr(module, parameter, torch.nn.Parameter(value.clone(), requires_grad=False))


def _put_bias(
    module: Any,  # noqa: ANN401
    tensors: Mapping[str, torch.Tensor],
    config: AdapterConfig,
    place: Place,
) -> None:
    """Adds the bias of lora_B, scaled like the matrices, if there is one."""
    bias = tensors.get(f"{_PREFIX}{place.path}.lora_B.bias")
    if bias is None:
        return
    if config.use_dora:
        raise UnknownLayerError("DoRA with lora_bias")
    rank = tensors[f"{_PREFIX}{place.path}.lora_A.weight"].shape[0]
    own = bias.float() * _scaling(place, config, rank)
    _set(module, "bias", own if module.bias is None else module.bias.detach() + own)
