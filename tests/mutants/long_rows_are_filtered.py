"""A filter of lengths that is too strict drops half of the rows."""

from collections.abc import Sequence
from typing import Any

from mutation import Mutant

from sft_ref.reference import training
from sft_ref.reference.tokens import Example

fit = training.fit


def filtered(model: Any, examples: Sequence[Example], **kwargs: Any) -> Any:
    lengths = sorted(len(each.input_ids) for each in examples)
    return fit(model, [each for each in examples if len(each.input_ids) <= lengths[len(lengths) // 2]], **kwargs)


MUTANT = Mutant(
    id="filter",
    stage="train",
    checks=("TRN-019",),
    fault="a filter of lengths drops nearly half of the rows",
    source="our own; no known report",
    patches={"sft_ref.reference.training.fit": filtered},
    retrain=True,
)
