"""The adapter is created in the dtype of the computing, fp16 under fp16 autocast."""

import dataclasses
from typing import Any

from mutation import Mutant

from sft_ref.reference import adapter
from sft_ref.reference.precision import Policy

cast_adapter = adapter.cast_adapter


def to_compute(model: Any, policy: Policy) -> None:
    cast_adapter(model, dataclasses.replace(policy, adapter=policy.compute or policy.adapter))


MUTANT = Mutant(
    id="P12",
    stage="train",
    checks=("TRN-007",),
    fault="adapter weights inherit fp16, which a gradient scaler refuses to unscale",
    source="peft#1706",
    patches={"sft_ref.reference.adapter.cast_adapter": to_compute},
)
