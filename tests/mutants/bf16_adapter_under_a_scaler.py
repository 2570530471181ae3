"""A policy pairs bf16 adapters with fp16 autocast, whose gradient scaler knows no bf16."""

import dataclasses

from mutation import Mutant

from sft_ref.reference.precision import POLICIES

MUTANT = Mutant(
    id="P13",
    stage="train",
    checks=("TRN-007",),
    fault="bf16 adapters are trained under an fp16 gradient scaler",
    source="trl#4901",
    patches={
        "sft_ref.reference.precision.POLICIES": POLICIES
        | {"fp16-mixed": dataclasses.replace(POLICIES["fp16-mixed"], adapter="bfloat16")}
    },
)
