"""Adapters are cast to fp32 under every policy, as the library does by default."""

import dataclasses
from typing import Any

from mutation import Mutant

from sft_ref.reference import adapter
from sft_ref.reference.precision import Policy

cast_adapter = adapter.cast_adapter


def to_fp32(model: Any, policy: Policy) -> None:
    cast_adapter(model, dataclasses.replace(policy, adapter="float32"))


MUTANT = Mutant(
    id="fp32-adapter",
    stage="train",
    checks=("TRN-007",),
    fault="the policy bf16 trains an fp32 adapter",
    source="our own; no known report",
    patches={"sft_ref.reference.adapter.cast_adapter": to_fp32},
)
