"""Rank and alpha are passed in the wrong order: the adapter has rank 32 and a scaling of a quarter.

Last loss 0.0079; sound 0.0027. Accuracy 1.00; sound 1.00.
"""

from typing import Any

from mutation import Mutant

from sft_ref.reference.adapter import add_adapter


def broken(*args: Any, rank: int, alpha: int) -> Any:
    return add_adapter(*args, rank=alpha, alpha=rank)


MUTANT = Mutant(
    id="rank_and_alpha_swapped",
    stage="train",
    checks=(),
    fault="the adapter has the rank of the settings as its alpha, and their alpha as its rank",
    source="no report",
    patches={"sft_ref.reference.adapter.add_adapter": broken},
    retrain=True,
)
