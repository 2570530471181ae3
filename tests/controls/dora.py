"""Weights decomposed into magnitude and direction."""

from plain_loop import PLAIN, PlainLoop

from sft_ref.harness.mutation import Control

CONTROL = Control(
    "dora",
    "weights decomposed into magnitude and direction",
    lambda: PlainLoop("dora", convention=PLAIN, lora={"target_modules": "all-linear", "use_dora": True}),
)
