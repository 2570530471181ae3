"""An exporter numbers the layers from the output: the first layer's tensors lie under the last one's name.

Accuracy 0.00; sound 1.00.
"""

import re
from pathlib import Path
from typing import Any

from _files import Tensors, rewrite
from mutation import Mutant

from sft_ref.reference.adapter import save_adapter


def reverse(tensors: Tensors) -> Tensors:
    last = max(int(re.findall(r"\.layers\.(\d+)\.", name)[0]) for name in tensors)
    return {
        re.sub(r"\.layers\.(\d+)\.", lambda found: f".layers.{last - int(found[1])}.", name): tensor
        for name, tensor in tensors.items()
    }


def broken(model: Any, base: str, folder: Path) -> None:
    save_adapter(model, base, folder)
    rewrite(folder, reverse)


MUTANT = Mutant(
    id="layers_reversed_on_save",
    stage="artifact",
    checks=(),
    fault="tensors are stored under the layer numbers in reverse order",
    source="no report",
    patches={"sft_ref.reference.adapter.save_adapter": broken},
    resave=True,
)
