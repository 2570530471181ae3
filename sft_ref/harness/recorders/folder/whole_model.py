"""A whole model in the folder of an adapter: whether it is the base, or the base with this adapter merged into it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from sft_ref.harness.evidence.adapter import Place, WholeModel
from sft_ref.io.base_config import CONFIG, WEIGHTS
from sft_ref.io.lora_config import AdapterConfig
from sft_ref.io.reading import UnreadableError
from sft_ref.io.tensor_headers import TensorHeader, read_header

from .files import is_file
from .weights import UnknownLayerError, expected_parameters

_CLEARLY = 4.0
"""How many times nearer the stored weights must lie to one of two than to the other, to be taken for it."""


def find_model(folder: Path) -> tuple[Path, ...]:
    """The safetensors files of a whole model in an adapter folder that transformers loads by itself."""
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
    places: Iterable[Place],
) -> WholeModel | None:
    """What lies beside an adapter, by the adapted weights; None where nothing does, or nothing can be compared.

    Args:
        folder: of the adapter.
        model: the base.
        tensors: of the adapter.
        config: of the adapter.
        places: where the adapter adds to the base.
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
    """A weight's name in a file, which may leave out the first part."""
    return next((each for each in (name, name.partition(".")[2]) if each in stored), None)


def _read(path: Path, name: str) -> torch.Tensor:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        tensor: torch.Tensor = file.get_tensor(name)
    return tensor
