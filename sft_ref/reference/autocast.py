"""How a model computes under a policy, whatever the program around has set.

Autocast casts weights that do not change once, not at every use.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from sft_ref.errors import PrecisionError

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


def check_defaults() -> None:
    """Refuses global defaults of torch that would change what a policy means, in places that no policy reaches.

    Raises:
        PrecisionError: the default dtype is not float32, the default device not the CPU, or a backend has a float32
            precision of its own.
    """
    if (dtype := torch.get_default_dtype()) != torch.float32:
        raise PrecisionError(
            f"torch's default dtype is {dtype}, and no policy holds under it; call"
            " torch.set_default_dtype(torch.float32) first, and choose the precision by policy"
        )
    if (device := torch.get_default_device()).type != "cpu":
        raise PrecisionError(
            f"torch's default device is {device}, and tensors are placed here one by one; call"
            ' torch.set_default_device("cpu") first'
        )
    try:
        torch.get_float32_matmul_precision()
    except RuntimeError as error:
        raise PrecisionError(
            "torch.backends holds a float32 precision for one backend (fp32_precision), and no policy holds under it;"
            " leave it as it is when Python starts, and choose the precision by policy"
        ) from error


@contextlib.contextmanager
def no_autocast(device: torch.device) -> Iterator[None]:
    """Within it, an autocast that the program around has opened is off."""
    if not torch.is_autocast_enabled(device.type):
        yield
        return
    # torch empties the cache only when the outermost autocast ends: casts of trained weights would go stale in it
    with torch.autocast(device.type, enabled=False, cache_enabled=False):
        yield


@contextlib.contextmanager
def isolated(device: torch.device) -> Iterator[None]:
    """Within it, no autocast, inference mode or `no_grad` of the program around is in force.

    Raises:
        PrecisionError: as `check_defaults`.
    """
    check_defaults()
    with no_autocast(device), torch.inference_mode(mode=False), torch.enable_grad():
        yield


@contextlib.contextmanager
def computing(model: torch.nn.Module, policy: Policy) -> Iterator[None]:
    """Within it, forward passes compute as the policy says.

    Not for training: autocast's cache is off here, and where it is on, it must not outlive an optimizer step, or the
    cached casts of the trained weights go stale and nothing is learned.

    Raises:
        PrecisionError: as `check_defaults`.
    """
    check_defaults()
    device = next(model.parameters()).device
    with no_autocast(device), matmul_mode(policy), frozen_weights_cast(model, policy), contextlib.ExitStack() as stack:
        if policy.compute:
            dtype = getattr(torch, policy.compute)
            stack.enter_context(torch.autocast(device.type, dtype=dtype, cache_enabled=False))
        yield
