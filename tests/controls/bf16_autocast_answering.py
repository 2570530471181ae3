"""Answers are computed under bf16 autocast, over fp32 weights."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mutation import Control
from plain_loop import PLAIN, Answers, PlainLoop


class Autocast(Answers):
    def batched_generate(
        self, prompts: Sequence[str], num_return_sequences: int | None = None, temperature: float = 0
    ) -> list[Any]:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return super().batched_generate(prompts, num_return_sequences, temperature)


class UnderAutocast(PlainLoop):
    def load(self, folder: Path) -> Answers:
        loaded = super().load(folder)
        return Autocast(loaded.model, loaded.tokenizer, self)


CONTROL = Control(
    "bf16_autocast_answering",
    "answers are computed under bf16 autocast over fp32 weights, as is usual on a GPU",
    lambda: UnderAutocast("bf16_autocast_answering", convention=PLAIN),
)
