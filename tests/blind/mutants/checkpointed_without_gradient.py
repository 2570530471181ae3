"""The first two layers are checkpointed by the reentrant variant, whose input needs a gradient and has none.

Their lora_B stays zero. Last loss 0.3991; sound 0.0027. Accuracy 0.23; sound 1.00.
"""

import functools
from typing import Any

from mutation import Mutant
from torch.utils.checkpoint import checkpoint

from sft_ref.reference.adapter import add_adapter


def broken(*args: Any, **kwargs: Any) -> Any:
    model: Any = add_adapter(*args, **kwargs)
    for layer in model.get_base_model().model.layers[:2]:
        layer.gradient_checkpointing = True
        layer._gradient_checkpointing_func = functools.partial(checkpoint, use_reentrant=True)
    return model


MUTANT = Mutant(
    id="checkpointed_without_gradient",
    stage="train",
    checks=(),
    fault="reentrant checkpointing cuts the gradient of all layers but the last",
    source="no report",
    patches={"sft_ref.reference.adapter.add_adapter": broken},
    retrain=True,
)
