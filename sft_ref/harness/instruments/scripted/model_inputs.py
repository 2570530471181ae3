"""Reads the attention mask and the cache of a model call."""

from __future__ import annotations

from typing import Any

import torch


def own_mask(ids: torch.Tensor, mask: Any, past: int = 0) -> torch.Tensor:  # noqa: ANN401
    """Returns a bool mask of the ids in a forward pass that are attended to; all of them if no mask says otherwise.

    Args:
        ids: (rows, tokens).
        mask: attention mask, or one for each kind of layer, with two dimensions, or with four, (rows, 1, tokens, keys),
            in which a token that does not attend to itself is padding. It may also cover `past` tokens of a cache, and
            positions that are not yet filled.
        past: number of tokens in the cache.
    """
    if isinstance(mask, dict):
        mask = next(iter(mask.values()), None)
    every = torch.ones_like(ids, dtype=torch.bool)
    if not isinstance(mask, torch.Tensor) or mask.dim() not in (2, 4):
        return every
    begin = max(0, min(past, mask.shape[-1] - ids.shape[1]))
    own = mask[..., begin : begin + ids.shape[1]]
    if own.dim() > ids.dim():
        own = own[:, 0, -ids.shape[1] :].diagonal(dim1=1, dim2=2)
        own = own == 0 if own.is_floating_point() else own  # in a float mask, masked positions are large and negative
    return own.bool() if own.shape == ids.shape else every


def cache_length(cache: Any) -> int:  # noqa: ANN401
    """Number of tokens in a cache of any version of transformers; 0 if unknown."""
    if cache is None:
        return 0
    try:
        return int(cache.get_seq_length() if hasattr(cache, "get_seq_length") else cache[0][0].shape[-2])
    except (TypeError, IndexError, AttributeError):
        return 0
