"""The base has the activation of another family of models at load: GELU in place of SiLU.

Logits move by 3.1, and 2 of 1,000 completions change. Accuracy 0.97; sound 0.97.
"""

from typing import Any

import torch
from mutation import Mutant

from sft_ref.reference.adapter import load_adapter


def broken(*args: Any) -> Any:
    model: Any = load_adapter(*args)
    for module in model.modules():
        if hasattr(module, "act_fn"):
            module.act_fn = torch.nn.GELU(approximate="tanh")
    return model


MUTANT = Mutant(
    id="activation_of_another_family",
    stage="load",
    checks=(),
    fault="the MLPs of the loaded base compute a GELU in place of their SiLU",
    source="no report",
    patches={"sft_ref.reference.adapter.load_adapter": broken},
)
