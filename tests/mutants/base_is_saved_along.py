"""The whole base lies beside the adapter."""

from typing import Any

from mutation import Mutant
from peft import PeftModel

save_pretrained = PeftModel.save_pretrained


def save_both(model: Any, folder: str, **kwargs: Any) -> None:
    save_pretrained(model, folder, **kwargs)
    model.get_base_model().save_pretrained(f"{folder}/base")


MUTANT = Mutant(
    id="size",
    stage="artifact",
    checks=("ART-007",),
    fault="the whole base is saved along with the adapter, beyond any budget",
    source="course rubric",
    patches={"peft.PeftModel.save_pretrained": save_both},
    resave=True,
)
