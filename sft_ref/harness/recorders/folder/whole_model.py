"""Classifies a whole model in an adapter's folder: the base model, or the base with this adapter merged into it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from sft_ref.harness.evidence.adapter import AdaptedParameter, WholeModel
from sft_ref.io.base_config import CONFIG
from sft_ref.io.lora_config import AdapterConfig
from sft_ref.io.reading import UnreadableError

from .files import is_file
from .tensors.stored_model import StoredModel
from .weights import UnknownLayerError, expected_parameters

_CLEARLY = 4.0
"""Factor by which the stored weights must be nearer to one candidate than to the other to be identified with it."""


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
    if not is_file(folder / CONFIG):
        return None
    try:
        stored = StoredModel(folder, may_lack_shards=True)
    except UnreadableError:
        return None
    to_base = to_due = 0.0
    compared = 0
    try:
        for place, due in expected_parameters(model, tensors, config, places):
            name = stored.find(f"{place.module}.{place.parameter}")
            base = getattr(model.get_submodule(place.module), place.parameter).detach().float()
            if name is None or stored.headers[name].shape != tuple(base.shape):
                continue
            there = stored.read(name).float()
            to_base += (there - base).square().sum().item()
            to_due += (there - due).square().sum().item()
            compared += 1
    except (UnknownLayerError, UnreadableError):
        return None
    if not compared:
        return None
    nearer_due, nearer_base = (one > _CLEARLY**2 * other for one, other in ((to_base, to_due), (to_due, to_base)))
    return WholeModel(stored.files[0].name, "merged" if nearer_due else "base" if nearer_base else "other", compared)
