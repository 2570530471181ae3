"""Reads the attention mask and the cache that a model is called with."""

from __future__ import annotations

from typing import Any

import torch


def own_mask(ids: torch.Tensor, mask: Any, past: int = 0) -> torch.Tensor:  # noqa: ANN401
    """Which of the ids of a forward are attended to, bool of their shape; all where no mask tells.

    Args:
        ids: (rows, tokens).
        mask: attention mask, or one for each kind of layer; of two dimensions, or of four, (rows, 1, tokens, keys),
            where a token that does not attend to itself is padding. It may also cover `past` tokens of a cache, and
            places that are not yet filled.
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
        own = own == 0 if own.is_floating_point() else own  # then what is masked has a large negative number
    return own.bool() if own.shape == ids.shape else every


def cache_length(cache: Any) -> int:  # noqa: ANN401
    """Number of tokens that a cache of any version of transformers holds; 0 where that cannot be told."""
    if cache is None:
        return 0
    try:
        return int(cache.get_seq_length() if hasattr(cache, "get_seq_length") else cache[0][0].shape[-2])
    except (TypeError, IndexError, AttributeError):
        return 0
