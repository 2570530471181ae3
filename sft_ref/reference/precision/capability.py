"""Refuses policies that a device, or what is installed, cannot compute or train in."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from sft_ref.errors import PrecisionError

from .choice import default_policy
from .policy import Policy

if TYPE_CHECKING:
    import torch


def check_can_compute(policy: Policy, device: torch.device) -> None:
    """Refuses what the device, or what is installed, cannot compute in at all, be it to train or to answer.

    Raises:
        PrecisionError: TF32 or flash attention without CUDA, flash attention without its package.
    """
    if policy.matmul != "highest" and device.type != "cuda":
        raise PrecisionError(f"policy {policy.name}: TF32 needs CUDA, and this is {device.type}; leave +tf32 out")
    if policy.attention == "flash_attention_2":
        if device.type != "cuda":
            raise PrecisionError(
                f"policy {policy.name}: flash attention needs CUDA, and this is {device.type}; use +sdpa"
            )
        if importlib.util.find_spec("flash_attn") is None:
            raise PrecisionError(f"policy {policy.name}: the package flash-attn is not installed; use +sdpa")


def check_can_train(policy: Policy, device: torch.device) -> None:
    """Refuses what the device cannot train in.

    Raises:
        PrecisionError: fp16 on a device that has no fast fp16 and no gradient scaler for it, fp16 weights under a
            gradient scaler, or what `check_can_compute` refuses.
    """
    check_can_compute(policy, device)
    if policy.adapter == "float16" and policy.compute == "float16":
        raise PrecisionError(
            f"policy {policy.name} cannot train: a gradient scaler divides gradients in float32, and refuses those of a"
            " float16 adapter; keep the adapter in float32, as fp16-mixed does"
        )
    if "float16" in (policy.storage, policy.compute) and device.type != "cuda":
        raise PrecisionError(
            f"policy {policy.name} cannot train on {device.type}: fp16 training needs CUDA;"
            f" use --policy {default_policy(device).name}"
        )
