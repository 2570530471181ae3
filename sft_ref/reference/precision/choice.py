"""Which policy is followed where none is named: by the device, by the course's keywords, or by what was trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sft_ref.errors import PrecisionError, PrecisionMismatchError

from .policy import POLICIES, Policy
from .variations import find_policy

if TYPE_CHECKING:
    import torch


def find_device() -> torch.device:
    """The accelerator, where there is one."""
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def computes_bf16_well(device: torch.device) -> bool:
    """Whether bf16 products are native there, rather than emulated or slow."""
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        # get_capabilities came with torch 2.12; the private name before it asks for the older half of the same
        ask = getattr(torch.cpu, "get_capabilities", None)
        found = ask() if ask else {"avx512_bf16": torch.cpu._is_avx512_bf16_supported()}  # noqa: SLF001  # type: ignore[no-untyped-call]
        return bool(found.get("amx_bf16") or found.get("avx512_bf16") or found.get("bf16"))
    return False


def default_policy(device: torch.device) -> Policy:
    """fp32 weights with bf16 autocast where the device computes bf16 well, else fp32 throughout; never fp16."""
    return POLICIES["bf16-mixed" if computes_bf16_well(device) else "fp32"]


def choose_policy(
    device: torch.device, *, use_fp32_for_training: bool = False, torch_dtype: torch.dtype | str | None = None
) -> Policy:
    """The policy that the two keywords of the course ask for.

    `torch_dtype` stores and computes in that dtype. `use_fp32_for_training` asks for what training starts from: fp32
    weights and the device's default computing. With neither, the base is for inference alone, and 16 bits serve where
    bf16 is native.

    Raises:
        PrecisionError: they contradict each other, or the dtype is none of float32, bfloat16, float16.
    """
    if torch_dtype is None:
        if use_fp32_for_training:
            return default_policy(device)
        return POLICIES["bf16" if computes_bf16_well(device) else "fp32"]
    stored = str(torch_dtype).removeprefix("torch.")
    if use_fp32_for_training:
        if stored != "float32":
            raise PrecisionError(f"torch_dtype={stored} contradicts use_fp32_for_training=True; give one of them")
        return default_policy(device)
    for policy in POLICIES.values():
        if policy.storage == stored and policy.compute is None:
            return policy
    raise PrecisionError(f"torch_dtype={torch_dtype} is not supported; give float32, bfloat16 or float16")


def choose_for_load(
    trained: Policy, device: torch.device, *, policy: str | None = None, torch_dtype: torch.dtype | str | None = None
) -> Policy:
    """The policy that was trained, or another one that is asked for by name.

    Raises:
        PrecisionMismatchError: `torch_dtype` is not what was trained.
        PrecisionError: there is no policy of that name or dtype.
    """
    if policy:
        return find_policy(policy)
    if torch_dtype is not None:
        asked = choose_policy(device, torch_dtype=torch_dtype)
        if asked.storage != trained.storage:
            raise PrecisionMismatchError(
                f"trained under {trained}, asked to load under torch_dtype={asked.storage};"
                f" leave torch_dtype out, or pass --policy {asked.name} to load so on purpose"
            )
    return trained
