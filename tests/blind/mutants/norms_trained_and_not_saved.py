"""The base's norms are unfrozen after the adapter was added: they are trained, and saved nowhere.

Logits of the loaded model differ from the trained one by 3.0. Accuracy 1.00; sound 1.00.
"""

from typing import Any

from mutation import Mutant

from sft_ref.reference.adapter import add_adapter


def broken(*args: Any, **kwargs: Any) -> Any:
    model: Any = add_adapter(*args, **kwargs)
    for name, weight in model.named_parameters():
        if "norm" in name:
            weight.requires_grad = True
    return model


MUTANT = Mutant(
    id="norms_trained_and_not_saved",
    stage="train",
    checks=(),
    fault="training changes the norms of the base, which the adapter file does not hold",
    source="no report",
    patches={"sft_ref.reference.adapter.add_adapter": broken},
    retrain=True,
)
