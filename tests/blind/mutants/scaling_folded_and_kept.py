"""The scaling is multiplied into lora_B on saving, and alpha stays: it is applied twice. Accuracy 0.03; sound 1.00."""

from pathlib import Path
from typing import Any

from _files import Tensors, rewrite
from mutation import Mutant

from sft_ref.reference.adapter import save_adapter


def broken(model: Any, base: str, folder: Path) -> None:
    save_adapter(model, base, folder)
    config = model.peft_config["default"]
    factor = config.lora_alpha / config.r

    def fold(tensors: Tensors) -> Tensors:
        return {name: tensor * factor if "lora_B" in name else tensor for name, tensor in tensors.items()}

    rewrite(folder, fold)


MUTANT = Mutant(
    id="scaling_folded_and_kept",
    stage="artifact",
    checks=(),
    fault="the scaling is folded into the stored lora_B, and alpha is stored unchanged",
    source="no report",
    patches={"sft_ref.reference.adapter.save_adapter": broken},
    resave=True,
)
