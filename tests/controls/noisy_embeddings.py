"""Noise on the embeddings in training, as NEFTune adds it."""

from pathlib import Path
from typing import Any

import torch
from mutation import Control
from peft import PeftModel
from plain_loop import PLAIN, PlainLoop

ALPHA = 5.0


class Noisy(PlainLoop):
    def _begin(self, model: PeftModel, _folder: Path) -> None:
        embeddings: Any = model.get_input_embeddings()
        embeddings.register_forward_hook(add_noise)


def add_noise(module: torch.nn.Module, _args: object, output: torch.Tensor) -> torch.Tensor:
    if not module.training:
        return output
    most = ALPHA / (output.shape[1] * output.shape[2]) ** 0.5
    return output + torch.empty_like(output).uniform_(-most, most)


CONTROL = Control(
    "noisy_embeddings",
    "noise is added to the embeddings in training",
    lambda: Noisy("noisy_embeddings", convention=PLAIN),
)
