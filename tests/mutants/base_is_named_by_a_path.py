"""The configuration names the base by its folder on the machine that trained."""

from typing import Any

from mutation import Mutant
from peft import PeftModel

save_pretrained = PeftModel.save_pretrained


def save_path(model: Any, folder: str, **kwargs: Any) -> None:
    model.peft_config["default"].base_model_name_or_path = model.get_base_model().name_or_path
    save_pretrained(model, folder, **kwargs)


MUTANT = Mutant(
    id="base-path",
    stage="artifact",
    checks=("ART-006",),
    fault="the adapter names its base by a path of the machine that trained",
    source="our own; no known report",
    patches={"peft.PeftModel.save_pretrained": save_path},
    resave=True,
)
