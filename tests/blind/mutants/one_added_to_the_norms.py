"""Loading adds 1 to the norms' weights, as conversions of Gemma do; Llama stores them whole.

Accuracy 0.36 and answer rate 0.72; sound 0.97 and 1.00.
"""

from typing import Any

from mutation import Mutant

from sft_ref.reference.adapter import load_adapter


def broken(*args: Any) -> Any:
    model = load_adapter(*args)
    for name, weight in model.named_parameters():
        if name.endswith("norm.weight"):
            weight.data += 1
    return model


MUTANT = Mutant(
    id="one_added_to_the_norms",
    stage="load",
    checks=(),
    fault="the norms of the loaded base weigh 1 more than they should",
    source="no report",
    patches={"sft_ref.reference.adapter.load_adapter": broken},
)
