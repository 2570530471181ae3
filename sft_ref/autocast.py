"""How a model computes under a policy: autocast, with weights that do not change cast once, not at every use."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from .precision import Policy


@contextlib.contextmanager
def frozen_weights_cast(model: torch.nn.Module, policy: Policy) -> Iterator[None]:
    """Within it, frozen Linear weights are a copy in the compute dtype; after it, the stored ones are back.

    Autocast casts the weight of a Linear at every forward. Casting those that do not change once gives the same bits
    for less time (and half the weights' memory again). Embeddings and norms stay as they are stored, as under autocast.
    Nor does peft cast what comes into an adapter to the adapter's dtype, which autocast would only take back.
    """
    if policy.compute is None:
        yield
        return
    from peft.helpers import disable_input_dtype_casting

    dtype = getattr(torch, policy.compute)
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


@contextlib.contextmanager
def matmul_mode(policy: Policy) -> Iterator[None]:
    """Within it, float32 matrices are multiplied as the policy says, whatever the program around has set."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(policy.matmul)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextlib.contextmanager
def computing(model: torch.nn.Module, policy: Policy) -> Iterator[None]:
    """Within it, forward passes compute as the policy says.

    Not for training: autocast's cache is off here, and where it is on, it must not outlive an optimizer step, or the
    cached casts of the trained weights go stale and nothing is learned.
    """
    with matmul_mode(policy), frozen_weights_cast(model, policy), contextlib.ExitStack() as stack:
        if policy.compute:
            device = next(model.parameters()).device.type
            stack.enter_context(torch.autocast(device, dtype=getattr(torch, policy.compute), cache_enabled=False))
        yield
