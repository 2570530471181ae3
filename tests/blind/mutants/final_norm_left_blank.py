"""The weight of the final norm is missed at load and stays 1. Logits move by 12.5. Accuracy 1.00; sound 1.00."""

from typing import Any

from mutation import Mutant

from sft_ref.reference.adapter import load_adapter


def broken(*args: Any) -> Any:
    model: Any = load_adapter(*args)
    model.get_base_model().model.norm.weight.data.fill_(1.0)
    return model


MUTANT = Mutant(
    id="final_norm_left_blank",
    stage="load",
    checks=(),
    fault="the weight of the base's final norm is 1 at load",
    source="no report",
    patches={"sft_ref.reference.adapter.load_adapter": broken},
)
