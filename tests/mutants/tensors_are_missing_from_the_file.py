"""A filter by name keeps the attention's tensors and drops those of the MLPs."""

from typing import Any

from mutation import Mutant
from peft import PeftModel

save_pretrained = PeftModel.save_pretrained


def save_attention(model: PeftModel, folder: str, **kwargs: Any) -> None:
    kept = {name: tensor for name, tensor in model.state_dict().items() if "self_attn" in name}
    save_pretrained(model, folder, **(kwargs | {"state_dict": kept}))


MUTANT = Mutant(
    id="A6-part",
    stage="artifact",
    checks=("ART-004",),
    fault="the file lacks the tensors of some of the modules that were trained",
    source="alpaca-lora#334",
    patches={"peft.PeftModel.save_pretrained": save_attention},
    resave=True,
)
