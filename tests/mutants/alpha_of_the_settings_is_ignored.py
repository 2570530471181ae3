"""The adapter has peft's default alpha, whatever the settings say."""

from typing import Any

from mutation import Mutant

from sft_ref.reference.adapter import add_adapter


def with_default_alpha(*arguments: Any, rank: int, alpha: int) -> Any:
    return add_adapter(*arguments, rank=rank, alpha=8)


MUTANT = Mutant(
    id="alpha-default",
    stage="train",
    checks=("TRN-013",),
    fault="the alpha of the settings is ignored",
    source="ours, of no report",
    patches={"sft_ref.reference.adapter.add_adapter": with_default_alpha},
    retrain=True,
)
