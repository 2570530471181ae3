"""The reference with bf16 autocast at every step."""

from mutation import Control

from sft_ref.harness.recorders.in_process.reference import Reference

CONTROL = Control(
    "bf16_autocast",
    "the reference with bf16 autocast at every step",
    lambda: Reference(policy="bf16-mixed", name="bf16_autocast"),
)
