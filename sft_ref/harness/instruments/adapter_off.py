"""Restores the base model under a loaded adapter, however the adapter was applied."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from sft_ref.reference.bases.find import find_base
from sft_ref.reference.guards.names import plain
from sft_ref.reference.models import load_model
from sft_ref.reference.precision import POLICIES

from .generation_recorder import find_transformer

if TYPE_CHECKING:
    from sft_ref.harness.core.implementation import Answerer


@contextlib.contextmanager
def without_adapter(answerer: Answerer, base: str) -> Iterator[None]:
    """Turns the loaded model into its base model within the context.

    The adapter is switched off, or merged weights are replaced by the base weights.
    """
    if hasattr(answerer.model, "disable_adapter"):
        with answerer.model.disable_adapter():
            yield
        return
    stored = load_model(find_base(base), POLICIES["fp32"]).state_dict()
    parameters = dict(find_transformer(answerer.model).named_parameters())
    before = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    try:
        with torch.no_grad():
            for name, parameter in parameters.items():
                if plain(name) in stored:
                    parameter.copy_(stored[plain(name)])
                elif "lora_B" in name:
                    parameter.zero_()
        yield
    finally:
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(before[name])
