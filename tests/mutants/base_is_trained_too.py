"""The base is not frozen: it is trained with the adapter, and not saved."""

from typing import Any

from mutation import Mutant

from sft_ref.reference import adapter

add_adapter = adapter.add_adapter


def unfrozen(*args: Any, **kwargs: Any) -> Any:
    model = add_adapter(*args, **kwargs)
    return model.requires_grad_(requires_grad=True)


MUTANT = Mutant(
    id="A5",
    stage="train",
    checks=("TRN-005",),  # whether TRN-027 fails too hangs on the processor
    fault="base weights are trained along with the adapter, and discarded when the adapter is saved",
    source="unsloth#9331",
    patches={"sft_ref.reference.adapter.add_adapter": unfrozen},
    retrain=True,
)
