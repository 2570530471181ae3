"""Drift from the contract, and no cause of NaN."""

import torch
from mutation import Control
from plain_loop import PLAIN, PlainLoop

CONTROL = Control(
    "fp16_base_under_an_fp32_adapter",
    "trained in fp32, loaded over an fp16 base; peft casts, and answers stay",
    lambda: PlainLoop("fp16_base_under_an_fp32_adapter", convention=PLAIN, load_dtype=torch.float16),
)
