"""Rows of embeddings: those that an adapter trains (peft's `trainable_token_indices`), and those that it adds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from sft_ref.reference.guards.names import plain

TRAINED_ROWS = ".token_adapter.trainable_tokens_delta"
"""End of the name of the tensor that holds the trained rows: their new values, not a difference."""


def trained_rows(
    tensors: Mapping[str, torch.Tensor], options: Mapping[str, Any]
) -> dict[str, tuple[list[int], torch.Tensor]]:
    """Returns token ids and new values, shape (ids, hidden size), by module of the base.

    Args:
        tensors: an adapter's tensors by name.
        options: its configuration.
    """
    modules = {
        plain(name).partition(TRAINED_ROWS)[0]: tensor for name, tensor in tensors.items() if TRAINED_ROWS in name
    }
    return {module: (trained_ids(options, module), tensor.float()) for module, tensor in modules.items()}


def trained_ids(options: Mapping[str, Any], module: str) -> list[int]:
    """Returns the token ids whose rows a configuration names for a module."""
    indices = options["trainable_token_indices"]
    if isinstance(indices, dict):
        indices = next(each for name, each in indices.items() if f".{module}".endswith(f".{name}"))
    return list(indices)


def extend_vocabulary(base: Any, tensors: Mapping[str, torch.Tensor]) -> None:  # noqa: ANN401  # a PreTrainedModel
    """Gives a base model as many embedding rows as the embeddings that an adapter saves, and their additional rows."""
    embeddings = (base.get_input_embeddings(), base.get_output_embeddings())
    named = {f"{name}.weight": module for name, module in base.named_modules() if module in embeddings}
    rows = len(embeddings[0].weight)
    for name, tensor in tensors.items():
        if plain(name) in named and len(tensor) != rows:
            base.resize_token_embeddings(len(tensor), mean_resizing=False)
            with torch.no_grad():
                named[plain(name)].weight[rows:] = tensor[rows:].float()
