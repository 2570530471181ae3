"""`dataset.select(range(32))`, from a trial run: the loss falls to nothing, by heart."""

from collections.abc import Sequence
from typing import Any

from sft_ref.harness.mutation import Mutant
from sft_ref.tokens import Example
from sft_ref.training import Step, fit


def fit_few(model: Any, examples: Sequence[Example], **how: Any) -> list[Step]:  # noqa: ANN401  # passes on
    return fit(model, examples[:32], **how)


MUTANT = Mutant(
    id="few-rows",
    stage="score",
    fault="only the first 32 rows are trained on, which shows on unseen questions alone",
    source="course submission",
    patches={"sft_ref.training.fit": fit_few},
    retrain=True,
)
