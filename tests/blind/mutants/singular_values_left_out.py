"""The adapter is factorised anew by an SVD when it is saved, and the singular values get lost.

In memory the update is U S V; in the file it is U V. Accuracy 0.04; sound 0.97.
"""

from pathlib import Path
from typing import Any

import torch
from mutation import Mutant
from safetensors.torch import load_file, save_file

from sft_ref.reference.adapter import save_adapter

FILE = "adapter_model.safetensors"


def broken(model: Any, base: str, folder: Path) -> None:
    save_adapter(model, base, folder)
    tensors = load_file(folder / FILE)
    for name in [each for each in tensors if "lora_A" in each]:
        other = name.replace("lora_A", "lora_B")
        a, b = tensors[name], tensors[other]
        left, _, right = torch.linalg.svd(b.float() @ a.float(), full_matrices=False)
        rank = len(a)
        tensors[other] = left[:, :rank].to(b.dtype).contiguous()
        tensors[name] = right[:rank].to(a.dtype).contiguous()
    save_file(tensors, folder / FILE, metadata={"format": "pt"})


MUTANT = Mutant(
    id="singular_values_left_out",
    stage="artifact",
    checks=(),
    fault="a factorisation on saving puts the singular values into neither factor",
    source="no report",
    patches={"sft_ref.reference.adapter.save_adapter": broken},
    resave=True,
)
