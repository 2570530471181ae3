"""The saved weights are the mean of snapshots, of which there are none: 0 / 0."""

from typing import Any

import torch
from mutation import Mutant
from peft import PeftModel
from safetensors.torch import load_file

save_pretrained = PeftModel.save_pretrained


def save_mean(model: PeftModel, folder: str, **kwargs: Any) -> None:
    snapshots = torch.tensor(0)
    mean = {name: torch.zeros_like(tensor) / snapshots for name, tensor in model.state_dict().items()}
    save_pretrained(model, folder, **(kwargs | {"state_dict": mean}))


MUTANT = Mutant(
    id="nan",
    stage="artifact",
    checks=("ART-002",),
    fault="the adapter that is saved holds NaN",
    source="our own; no known report",
    patches={
        "peft.PeftModel.save_pretrained": save_mean,
        "sft_ref.reference.guards.adapter_files.read_tensors": lambda folder: load_file(
            folder / "adapter_model.safetensors"
        ),
    },
    resave=True,
)
