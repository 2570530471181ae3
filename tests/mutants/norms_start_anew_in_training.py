"""The norms of the base are lost when it is loaded for training, and start at 1."""

from typing import Any

from mutation import Mutant

from sft_ref.reference import adapter

add_adapter = adapter.add_adapter


def renewed(*args: Any, **kwargs: Any) -> Any:
    model = add_adapter(*args, **kwargs)
    for name, weight in model.named_parameters():
        if name.endswith("post_attention_layernorm.weight"):
            weight.data.fill_(1.0)
    return model


MUTANT = Mutant(
    id="trained-norms",
    stage="train",
    checks=("TRN-011",),
    fault="norms whose keys do not match are initialised anew in training, and loaded well afterwards",
    source="own: a warning about newly initialised weights, ignored",
    patches={"sft_ref.reference.adapter.add_adapter": renewed},
    resave=True,
)
