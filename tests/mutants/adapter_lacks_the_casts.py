"""A LoRA layer written by hand multiplies what the base gives, in the base's dtype, by its own weights in theirs."""

import dataclasses

import torch
from mutation import Mutant

from sft_ref.reference.precision import POLICIES, Policy


def fp32_over_bf16(device: torch.device) -> Policy:
    return dataclasses.replace(POLICIES["bf16"], adapter="float32")


def uncast(layer: object, x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return x


MUTANT = Mutant(
    id="P16",
    stage="train",
    checks=("TRN-001", "TRN-002", "TRN-003", "TRN-005", "TRN-008"),
    fault="an fp32 adapter over a bf16 base is called without a cast between them, and training cannot take a step",
    source="Automodel#3638",
    patches={
        "sft_ref.reference.sft.default_policy": fp32_over_bf16,
        "peft.tuners.lora.layer.LoraLayer._cast_input_dtype": uncast,
    },
    retrain=True,
)
