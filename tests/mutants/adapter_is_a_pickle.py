"""The adapter is saved as a pickle, and read as one."""

from pathlib import Path
from typing import Any

import torch
from mutation import Mutant
from safetensors.torch import load_file

from sft_ref.reference import sft

train = sft.train


def pickled(folder: Path, **kwargs: Any) -> Any:
    history = train(folder, **kwargs)
    safe = folder / "adapter_model.safetensors"
    torch.save(load_file(safe), folder / "adapter_model.bin")
    safe.unlink()
    return history


def unpickle(folder: Path) -> dict[str, torch.Tensor]:
    path = folder / "adapter_model.bin"
    if path.exists():
        return dict(torch.load(path, weights_only=True))
    return load_file(folder / "adapter_model.safetensors")


MUTANT = Mutant(
    id="pickle",
    stage="artifact",
    checks=("ART-001",),
    fault="the adapter is stored as a pickle only",
    source="our own; no known report",
    patches={
        "sft_ref.reference.sft.train": pickled,
        "sft_ref.reference.guards.adapter_files.read_tensors": unpickle,
    },
    resave=True,
)
