"""The state dict was replaced by one that no longer holds the adapter's tensors: a file of a few bytes is saved."""

from typing import Any

from mutation import Mutant
from peft import PeftModel
from safetensors.torch import load_file

save_pretrained = PeftModel.save_pretrained


def save_nothing(model: PeftModel, folder: str, **kwargs: Any) -> None:
    save_pretrained(model, folder, **(kwargs | {"state_dict": {}}))


MUTANT = Mutant(
    id="A6",
    stage="artifact",
    checks=("ART-001",),
    fault="the adapter file holds no tensors",
    source="alpaca-lora#334",
    patches={
        "peft.PeftModel.save_pretrained": save_nothing,
        "sft_ref.reference.guards.adapter_files.read_tensors": lambda folder: load_file(
            folder / "adapter_model.safetensors"
        ),
    },
    resave=True,
)
