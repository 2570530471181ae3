"""The valid range of each training setting."""

from __future__ import annotations

from sft_ref.console.ranges import FloatRange, IntRange, Range
from sft_ref.errors import TrainingError

RANGES: dict[str, Range] = {
    "steps": IntRange(1, 1_000_000),
    "batch_size": IntRange(1, 65_536),
    "learning_rate": FloatRange(1000),
    "rank": IntRange(1, 1024),
    "alpha": IntRange(1, 1_000_000),
    "seed": IntRange(0, 2**32 - 1),
}


def check_ranges(settings: object) -> None:
    """Refuses a setting that is out of its range.

    Raises:
        TrainingError: a setting is out of range; the message names it and its range.
    """
    for name, allowed in RANGES.items():
        value = getattr(settings, name)
        if value not in allowed:
            raise TrainingError(f"{name} is {str(value)[:80]}; give {allowed}")
