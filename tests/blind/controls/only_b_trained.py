"""LoRA-FA: lora_A stays as it was drawn, and only lora_B is trained.

Accuracy 0.98; the reference 1.00.
"""

from typing import Any

from _varied import Varied
from mutation import Control

from sft_ref.reference.training import fit


def frozen_a(model: Any, *args: Any, **kwargs: Any) -> Any:
    for name, weight in model.named_parameters():
        if "lora_A" in name:
            weight.requires_grad = False
    return fit(model, *args, **kwargs)


CONTROL = Control(
    "only_b_trained",
    "lora_A is frozen as it was drawn",
    lambda: Varied("only_b_trained", {"sft_ref.reference.training.fit": frozen_a}, learning_rate=4e-3),
)
