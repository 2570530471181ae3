"""Training runs on weights that were rounded to 4 bits; the adapter is loaded onto the whole ones."""

from typing import Any

from mutation import Mutant

from sft_ref.reference import adapter

add_adapter = adapter.add_adapter


def quantised(*args: Any, **kwargs: Any) -> Any:
    model = add_adapter(*args, **kwargs)
    for name, weight in model.named_parameters():
        if name.endswith("base_layer.weight"):
            step = weight.data.abs().amax(1, keepdim=True) / 7
            weight.data = (weight.data / step).round() * step
    return model


MUTANT = Mutant(
    id="trained-4-bits",
    stage="train",
    checks=("TRN-011",),
    fault="the base is quantised to 4 bits for training alone",
    source="own: QLoRA, merged into or loaded onto the base in full precision",
    patches={"sft_ref.reference.adapter.add_adapter": quantised},
    resave=True,
)
