"""Classifies a whole model in an adapter's folder: the base model, or the base with this adapter merged into it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from sft_ref.harness.evidence.adapter import AdaptedParameter, WholeModel
from sft_ref.io.base_config import CONFIG, WEIGHTS
from sft_ref.io.lora_config import AdapterConfig
from sft_ref.io.reading import UnreadableError
from sft_ref.io.tensor_headers import TensorHeader, read_header

from .files import is_file
from .weights import UnknownLayerError, expected_parameters

_CLEARLY = 4.0
"""Factor by which the stored weights must be nearer to one candidate than to the other to be identified with it."""


def find_model(folder: Path) -> tuple[Path, ...]:
    """Returns the safetensors files of a whole model in an adapter folder that transformers loads on their own."""
    if not is_file(folder / CONFIG):
        return ()
    single = folder / WEIGHTS
    if is_file(single):
        return (single,)
    return tuple(path for path in sorted(folder.glob("model-*-of-*.safetensors")) if is_file(path))


def compare_whole_model(
    folder: Path,
    model: Any,  # noqa: ANN401
    tensors: Mapping[str, torch.Tensor],
    config: AdapterConfig,
    places: Iterable[AdaptedParameter],
) -> WholeModel | None:
    """Classifies the model beside an adapter by its adapted weights; None if there is none, or nothing to compare.

    Args:
        folder: folder of the adapter.
        model: base model.
        tensors: tensors of the adapter.
        config: configuration of the adapter.
        places: parameters of the base model that the adapter adds to.
    """
    files = find_model(folder)
    stored: dict[str, TensorHeader] = {}
    try:
        for path in files:
            stored |= read_header(path)
    except UnreadableError:
        return None
    to_base = to_due = 0.0
    compared = 0
    try:
        for place, due in expected_parameters(model, tensors, config, places):
            name = _find(f"{place.module}.{place.parameter}", stored)
            base = getattr(model.get_submodule(place.module), place.parameter).detach().float()
            if name is None or stored[name].shape != tuple(base.shape):
                continue
            there = _read(stored[name].file, name).float()
            to_base += (there - base).square().sum().item()
            to_due += (there - due).square().sum().item()
            compared += 1
    except UnknownLayerError:
        return None
    if not compared:
        return None
    nearer_due, nearer_base = (one > _CLEARLY**2 * other for one, other in ((to_base, to_due), (to_due, to_base)))
    return WholeModel(files[0].name, "merged" if nearer_due else "base" if nearer_base else "other", compared)


def _find(name: str, stored: Mapping[str, TensorHeader]) -> str | None:
    """Finds a weight's name in a file, which may omit the first part."""
    return next((each for each in (name, name.partition(".")[2]) if each in stored), None)


def _read(path: Path, name: str) -> torch.Tensor:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        tensor: torch.Tensor = file.get_tensor(name)
    return tensor
