"""Targets are written with separators of thousands, ``1,000.0``, which the parser does not take.

Accuracy 0.60, answer rate 0.65; sound 0.97, 1.00. Of the training targets, 45 % have a comma.
"""

from mutation import Mutant


def broken(value: float | str) -> str:
    return value.strip() if isinstance(value, str) else f"{round(value, 3):,}"


MUTANT = Mutant(
    id="thousands_separated_in_the_target",
    stage="prompt",
    checks=(),
    fault="numbers from 1,000 on are written with commas in the target",
    source="no report",
    patches={"sft_ref.reference.prompt.format_value": broken},
    retrain=True,
)
