"""Base, adapter and computing in bf16."""

from mutation import Control

from sft_ref.harness.recorders.in_process.reference import Reference

CONTROL = Control(
    "bf16_throughout",
    "the reference with base, adapter and computing in bf16; batches differ from single runs by rounding",
    lambda: Reference(policy="bf16", name="bf16_throughout"),
)
