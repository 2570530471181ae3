"""Tensors are split over two processes, and what is saved was not gathered: half of each is zero.

Accuracy 0.66; sound 1.00.
"""

from pathlib import Path
from typing import Any

import torch
from _files import Tensors, rewrite
from mutation import Mutant

from sft_ref.reference.adapter import save_adapter


def first_half(tensor: torch.Tensor) -> torch.Tensor:
    flat = tensor.flatten()
    flat[len(flat) // 2 :] = 0
    return flat.view_as(tensor)


def shard(tensors: Tensors) -> Tensors:
    return {name: first_half(tensor) for name, tensor in tensors.items()}


def broken(model: Any, base: str, folder: Path) -> None:
    save_adapter(model, base, folder)
    rewrite(folder, shard)


MUTANT = Mutant(
    id="only_one_shard_saved",
    stage="artifact",
    checks=(),
    fault="the second half of each stored tensor is zero, as the other process holds it",
    source="no report",
    patches={"sft_ref.reference.adapter.save_adapter": broken},
    resave=True,
)
