"""Speed only: casts frozen weights once under autocast, instead of at every use."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def frozen_weights_cast(model: torch.nn.Module, compute: str | None) -> Iterator[None]:
    """Replaces frozen Linear weights by copies in the autocast dtype within its context, and restores them afterwards.

    Autocast casts the weight of a Linear at every forward pass. Casting frozen weights once gives the same bits in less
    time (and takes half the weights' memory in addition). Embeddings and norms stay as stored, as under autocast.
    peft's cast of adapter inputs to the adapter's dtype is off, because autocast would only undo it.
    """
    if compute is None:
        yield
        return
    from peft.helpers import disable_input_dtype_casting

    dtype = getattr(torch, compute)
    stored: list[tuple[torch.nn.Linear, torch.Tensor]] = []
    try:
        for module in model.modules():
            if isinstance(module, torch.nn.Linear) and not module.weight.requires_grad:
                stored.append((module, module.weight))
                module.weight = torch.nn.Parameter(module.weight.to(dtype), requires_grad=False)
        with disable_input_dtype_casting(model):
            yield
    finally:
        for module, weight in stored:
            module.weight = weight
