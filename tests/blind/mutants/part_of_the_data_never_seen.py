"""A limit of 100 rows, left from debugging: nine tenths of the data are never seen.

Last loss 0.0011; sound 0.0027. Accuracy 0.98; sound 1.00.
"""

from collections.abc import Sequence
from typing import Any

from mutation import Mutant

from sft_ref.reference.tokens import Example
from sft_ref.reference.training import fit


def broken(model: Any, examples: Sequence[Example], **kwargs: Any) -> Any:
    return fit(model, examples[:100], **kwargs)


MUTANT = Mutant(
    id="part_of_the_data_never_seen",
    stage="train",
    checks=(),
    fault="training sees the first 100 rows only",
    source="no report",
    patches={"sft_ref.reference.training.fit": broken},
    retrain=True,
)
