"""A share to keep of 0.99 is passed as LoRA dropout: a hundredth of the inputs is left. Accuracy 0.05; sound 1.00."""

from typing import Any

import torch
from mutation import Mutant

from sft_ref.reference.adapter import add_adapter


def broken(*args: Any, **kwargs: Any) -> Any:
    model: Any = add_adapter(*args, **kwargs)
    for module in model.modules():
        if hasattr(module, "lora_dropout"):
            module.lora_dropout["default"] = torch.nn.Dropout(0.99)
    return model


MUTANT = Mutant(
    id="dropout_takes_the_share_to_keep",
    stage="train",
    checks=(),
    fault="LoRA dropout is 0.99, the share that was meant to be kept",
    source="no report",
    patches={"sft_ref.reference.adapter.add_adapter": broken},
    retrain=True,
)
