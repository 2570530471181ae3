"""The number in the target is cut to eight characters, which takes digits before the point from large ones.

123456789012.5 is written as 12345678. Accuracy 0.90, on numbers of at least 1e8 5 of 12; sound 0.97. First loss 3.67;
sound 3.00.
"""

from mutation import Mutant

from sft_ref.reference.prompt import format_value


def broken(value: float | str) -> str:
    return format_value(value) if isinstance(value, str) else format_value(value)[:8]


MUTANT = Mutant(
    id="target_cut_to_eight_characters",
    stage="tokens",
    checks=(),
    fault="a slice that should limit the decimals cuts the digits of numbers above 99999999",
    source="no report",
    patches={"sft_ref.reference.prompt.format_value": broken},
    retrain=True,
)
