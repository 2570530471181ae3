"""Tensors are gathered in bf16 and written in fp32, as some sharded trainings do.

Logits move by 0.027. Accuracy 0.97; sound 0.97.
"""

from pathlib import Path
from typing import Any

from _files import Tensors, rewrite
from mutation import Mutant

from sft_ref.reference.adapter import save_adapter


def rounded(tensors: Tensors) -> Tensors:
    return {name: tensor.bfloat16().to(tensor.dtype) for name, tensor in tensors.items()}


def broken(model: Any, base: str, folder: Path) -> None:
    save_adapter(model, base, folder)
    rewrite(folder, rounded)


MUTANT = Mutant(
    id="rounded_on_the_way_to_the_file",
    stage="artifact",
    checks=(),
    fault="the stored fp32 tensors have the precision of bf16",
    source="no report",
    patches={"sft_ref.reference.adapter.save_adapter": broken},
    resave=True,
)
