"""Protects the computations of a model from torch settings of the calling program."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from sft_ref.errors import PrecisionError


@contextlib.contextmanager
def matmul_mode(precision: str) -> Iterator[None]:
    """Sets the precision of torch's float32 matrix products within its context."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def check_defaults() -> None:
    """Refuses global defaults of torch that would change the meaning of a policy, in code that no policy controls.

    Raises:
        PrecisionError: the default dtype is not float32, the default device is not the CPU, or a backend has a
            separate float32 precision.
    """
    if (dtype := torch.get_default_dtype()) != torch.float32:
        raise PrecisionError(
            f"torch's default dtype is {dtype}, and every policy needs float32 there; call"
            " torch.set_default_dtype(torch.float32) first, and choose the precision by policy"
        )
    if (device := torch.get_default_device()).type != "cpu":
        raise PrecisionError(
            f"torch's default device is {device}, but this package moves each tensor to its device itself; call"
            ' torch.set_default_device("cpu") first'
        )
    try:
        torch.get_float32_matmul_precision()
    except RuntimeError as error:
        raise PrecisionError(
            "torch.backends sets a float32 precision for one backend (fp32_precision), which overrides every policy;"
            " leave torch's default, and choose the precision by policy"
        ) from error


@contextlib.contextmanager
def no_autocast(device: torch.device) -> Iterator[None]:
    """Disables an autocast of the calling program within its context."""
    if not torch.is_autocast_enabled(device.type):
        yield
        return
    # torch clears the cache only when the outermost autocast ends: casts of trained weights in it would become stale
    with torch.autocast(device.type, enabled=False, cache_enabled=False):
        yield


@contextlib.contextmanager
def isolated(device: torch.device) -> Iterator[None]:
    """Disables autocast, inference mode and `no_grad` of the calling program within its context.

    Raises:
        PrecisionError: `check_defaults` raises it.
    """
    check_defaults()
    with no_autocast(device), torch.inference_mode(mode=False), torch.enable_grad():
        yield
