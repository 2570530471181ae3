"""Policies by name, and variations of them that are not dtypes: the attention backend, TF32."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sft_ref.errors import PrecisionError

from .policy import POLICIES, Policy


@dataclass(frozen=True)
class Variation:
    """One setting of a policy that is not a dtype, by the word that a policy's name takes behind a plus sign."""

    field: str
    value: str
    why: str


VARIATIONS: dict[str, Variation] = {
    "eager": Variation("attention", "eager", "attention as plain products and a softmax in float32; the default"),
    "sdpa": Variation("attention", "sdpa", "torch's fused kernels: less memory for long texts, other bits by device"),
    "flash": Variation("attention", "flash_attention_2", "the package flash-attn: 16 bits and CUDA only"),
    "tf32": Variation("matmul", "high", "float32 products with 10 bits on CUDA's tensor cores: faster, and less exact"),
}


def find_policy(name: str) -> Policy:
    """The policy of that name, with the variations that follow it: ``fp32``, ``bf16-mixed+sdpa``, ``fp32+sdpa+tf32``.

    Raises:
        PrecisionError: there is none, or the variation makes no sense with it.
    """
    plain, *words = name.split("+")
    if plain not in POLICIES:
        raise PrecisionError(f"unknown policy {name!r}; choose one of {', '.join(POLICIES)}")
    policy = POLICIES[plain]
    for word in words:
        if word not in VARIATIONS:
            raise PrecisionError(f"unknown variation {word!r} of policy {name!r}; choose of {', '.join(VARIATIONS)}")
        changed = VARIATIONS[word]
        if getattr(policy, changed.field) == changed.value:
            raise PrecisionError(f"policy {name!r}: +{word} changes nothing; leave it out")
        policy = replace(policy, **{changed.field: changed.value, "why": f"{policy.why}; {word}: {changed.why}"})
    if policy.matmul != "highest" and policy.computes != "float32":
        raise PrecisionError(
            f"policy {name!r}: +tf32 is for float32 products, and {plain} computes in {policy.computes}"
        )
    if policy.attention == "flash_attention_2" and policy.computes == "float32":
        raise PrecisionError(f"policy {name!r}: +flash computes in 16 bits only, and {plain} in float32; use +sdpa")
    return replace(policy, name=name)
