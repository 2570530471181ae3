"""What is saved is the state dict that was taken before training."""

from typing import Any

import torch
from mutation import Mutant
from peft import PeftModel

save_pretrained = PeftModel.save_pretrained


def save_early_state(model: PeftModel, folder: str, **kwargs: Any) -> None:
    early = {n: torch.zeros_like(t) if "lora_B" in n else t for n, t in model.state_dict().items()}
    save_pretrained(model, folder, **(kwargs | {"state_dict": early}))


MUTANT = Mutant(
    id="blank",
    stage="artifact",
    checks=("ART-003", "ART-004"),
    fault="the adapter that is saved is the blank one",
    source="our own; no known report",
    patches={"peft.PeftModel.save_pretrained": save_early_state},
    resave=True,
)
