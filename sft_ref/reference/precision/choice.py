"""Finds a policy by name, chooses one if none is named, and refuses policies that cannot run or train here."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sft_ref.errors import PrecisionError, PrecisionMismatchError

from .policy import POLICIES, Policy

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Variation:
    """One setting of a policy that is not a dtype; a policy's name selects it by a word after a plus sign."""

    field: str
    value: str
    why: str


VARIATIONS: dict[str, Variation] = {
    "eager": Variation("attention", "eager", "attention as plain products and a softmax in float32; the default"),
    "sdpa": Variation("attention", "sdpa", "torch's fused kernels: less memory, rounding depends on the device"),
    "flash": Variation("attention", "flash_attention_2", "the package flash-attn: 16 bits and CUDA only"),
    "tf32": Variation("matmul", "high", "float32 products with 10 bits on CUDA's tensor cores: faster, and less exact"),
}


def find_policy(name: str) -> Policy:
    """Returns the policy of a name with optional variations: ``fp32``, ``bf16-mixed+sdpa``, ``fp32+sdpa+tf32``.

    Raises:
        PrecisionError: the policy or variation is unknown, or the variation does not apply to the policy.
    """
    plain, *words = name.split("+")
    if plain not in POLICIES:
        raise PrecisionError(f"unknown policy {name!r}; choose one of {', '.join(POLICIES)}")
    policy = POLICIES[plain]
    for word in words:
        if word not in VARIATIONS:
            raise PrecisionError(f"unknown variation {word!r} of policy {name!r}; choose {' or '.join(VARIATIONS)}")
        changed = VARIATIONS[word]
        if getattr(policy, changed.field) == changed.value:
            raise PrecisionError(f"policy {name!r}: +{word} changes nothing; leave it out")
        policy = replace(policy, **{changed.field: changed.value, "why": f"{policy.why}; {word}: {changed.why}"})
    if policy.matmul != "highest" and policy.computes != "float32":
        raise PrecisionError(
            f"policy {name!r}: +tf32 is for float32 products, and {plain} computes in {policy.computes}; leave it out"
        )
    if policy.attention == "flash_attention_2" and policy.computes == "float32":
        raise PrecisionError(f"policy {name!r}: +flash computes in 16 bits only, and {plain} in float32; use +sdpa")
    return replace(policy, name=name)


def find_device() -> torch.device:
    """Returns the accelerator if there is one, else the CPU."""
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def computes_bf16_well(device: torch.device) -> bool:
    """Returns whether bf16 matrix products are native on a device, rather than emulated or slow."""
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        # get_capabilities is new in torch 2.12; the older private function reports only avx512_bf16
        ask = getattr(torch.cpu, "get_capabilities", None)
        found = ask() if ask else {"avx512_bf16": torch.cpu._is_avx512_bf16_supported()}  # noqa: SLF001  # type: ignore[no-untyped-call]
        return bool(found.get("amx_bf16") or found.get("avx512_bf16") or found.get("bf16"))
    return False


def default_policy(device: torch.device) -> Policy:
    """Returns fp32 weights with bf16 autocast if the device computes bf16 well, else fp32 throughout; never fp16."""
    return POLICIES["bf16-mixed" if computes_bf16_well(device) else "fp32"]


def choose_policy(
    device: torch.device, *, use_fp32_for_training: bool = False, torch_dtype: torch.dtype | str | None = None
) -> Policy:
    """Returns the policy selected by the two keywords of the course.

    `torch_dtype` stores and computes in that dtype. `use_fp32_for_training` selects the start of a training: fp32
    weights and the device's default compute dtype. With neither, the base is for inference only, in bf16 if the device
    computes it natively.

    Raises:
        PrecisionError: the keywords contradict each other, or the dtype is none of float32, bfloat16, float16.
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
    """Returns the policy of the training, or another policy that the caller names.

    Raises:
        PrecisionMismatchError: `torch_dtype` is not the storage dtype of the training.
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


def check_can_compute(policy: Policy, device: torch.device) -> None:
    """Refuses a policy that the device or the installed packages cannot run at all, for training or inference.

    Raises:
        PrecisionError: TF32 or flash attention without CUDA, or flash attention without its package.
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
    """Refuses a policy that the device cannot train in.

    Raises:
        PrecisionError: fp16 on a device without fast fp16 and a gradient scaler for it, an fp16 adapter with a
            gradient scaler, or a policy that `check_can_compute` refuses.
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
