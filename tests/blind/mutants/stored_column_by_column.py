"""A converter writes the columns of each matrix one after another, under the shape of its rows.

Accuracy 0.00; sound 0.97.
"""

from pathlib import Path
from typing import Any

from _files import Tensors, rewrite
from mutation import Mutant

from sft_ref.reference.adapter import save_adapter


def by_column(tensors: Tensors) -> Tensors:
    return {name: tensor.t().reshape(tensor.shape) for name, tensor in tensors.items()}


def broken(model: Any, base: str, folder: Path) -> None:
    save_adapter(model, base, folder)
    rewrite(folder, by_column)


MUTANT = Mutant(
    id="stored_column_by_column",
    stage="artifact",
    checks=(),
    fault="each matrix is stored in column-major order, and read in row-major order",
    source="no report",
    patches={"sft_ref.reference.adapter.save_adapter": broken},
    resave=True,
)
