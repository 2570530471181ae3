"""Load leaves the model in training mode, with a LoRA dropout of 0.3.

Two forwards differ by up to 2.3 in a logit. Accuracy 1.00; sound 1.00.
"""

from typing import Any

import torch
from mutation import Mutant

from sft_ref.reference.adapter import load_adapter


def broken(*args: Any) -> Any:
    model: Any = load_adapter(*args)
    for module in model.modules():
        if hasattr(module, "lora_dropout"):
            module.lora_dropout["default"] = torch.nn.Dropout(0.3)
    model.eval = model.train
    return model


MUTANT = Mutant(
    id="eval_mode_forgotten",
    stage="load",
    checks=(),
    fault="the loaded model stays in training mode, and its LoRA dropout is at work",
    source="peft#3753",
    patches={"sft_ref.reference.adapter.load_adapter": broken},
)
