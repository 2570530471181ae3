"""The reference with bf16 autocast over fp32 weights."""

from mutation import Control

from sft_ref.harness.recorders.in_process.reference import Reference

CONTROL = Control(
    "bf16_autocast",
    "the reference as it is on a GPU: bf16 autocast over fp32 weights, in training and while answering",
    lambda: Reference(policy="bf16-mixed", name="bf16_autocast"),
)
