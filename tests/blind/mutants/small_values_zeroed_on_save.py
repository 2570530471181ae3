"""Values below 0.035 are taken for noise and set to zero in the file, as a way to make it smaller.

73 % of the values become zero; sound none. Accuracy 0.99; sound 0.97. A threshold of 0.04 would zero 78 %,
and the accuracy would be 0.00.
"""

from pathlib import Path
from typing import Any

from mutation import Mutant
from safetensors.torch import load_file, save_file

from sft_ref.reference.adapter import save_adapter

FILE, LEAST = "adapter_model.safetensors", 0.035


def broken(model: Any, base: str, folder: Path) -> None:
    save_adapter(model, base, folder)
    tensors = {name: weight * (weight.abs() >= LEAST) for name, weight in load_file(folder / FILE).items()}
    save_file(tensors, folder / FILE, metadata={"format": "pt"})


MUTANT = Mutant(
    id="small_values_zeroed_on_save",
    stage="artifact",
    checks=(),
    fault="values of the adapter below a fixed threshold are stored as zero",
    source="no report",
    patches={"sft_ref.reference.adapter.save_adapter": broken},
    resave=True,
)
