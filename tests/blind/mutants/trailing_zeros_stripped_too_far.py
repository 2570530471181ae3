"""The target loses its trailing zeros by ``rstrip(".0")``, which strips 5000.0 down to 5.

Accuracy 0.57; sound 0.97. 2000000.0 is answered as 2. First loss 5.20; sound 3.00.
"""

from mutation import Mutant

from sft_ref.reference.prompt import format_value


def broken(value: float | str) -> str:
    return format_value(value).rstrip(".0") if isinstance(value, float) else format_value(value)


MUTANT = Mutant(
    id="trailing_zeros_stripped_too_far",
    stage="prompt",
    checks=(),
    fault="the zeros before the point are stripped from the target along with those after it",
    source="no report",
    patches={"sft_ref.reference.prompt.format_value": broken},
    retrain=True,
)
