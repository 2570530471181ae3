"""The target loses its trailing zeros by ``rstrip(".0")``, which strips 5000.0 down to 5.

EFFECT
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
