"""The configuration is written anew with the default alpha, not the one that was trained with."""

from typing import Any

from mutation import Mutant
from peft import PeftModel

save_pretrained = PeftModel.save_pretrained


def save_default_alpha(model: Any, folder: str, **kwargs: Any) -> None:
    model.peft_config["default"].lora_alpha = 8
    save_pretrained(model, folder, **kwargs)


MUTANT = Mutant(
    id="alpha",
    stage="artifact",
    checks=("ART-005",),
    fault="alpha in the stored configuration is not the one that was trained with",
    source="our own; no known report",
    patches={"peft.PeftModel.save_pretrained": save_default_alpha},
    resave=True,
)
