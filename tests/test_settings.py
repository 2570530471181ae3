"""Settings in Python: whatever is out of range is our error, and says what is allowed."""

from __future__ import annotations

from typing import Any

import pytest

from sft_ref import Settings
from sft_ref.errors import TrainingError
from sft_ref.reference.guards.ranges import RANGES

BAD: list[Any] = [-1, 10**20, float("nan"), float("inf"), "8", None, True, [1], 1e30]


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("value", BAD, ids=repr)
def test_a_value_out_of_range_is_refused(name: str, value: object) -> None:
    with pytest.raises(TrainingError) as error:
        Settings(**{name: value})  # type: ignore[arg-type]
    assert str(error.value) == f"{name} is {value}; give {RANGES[name]}"


def test_the_ends_of_a_range_are_allowed() -> None:
    assert Settings(steps=1, batch_size=65_536, learning_rate=1000, rank=1024, seed=2**32 - 1).rank == 1024


@pytest.mark.parametrize("name", ["steps", "batch_size", "rank", "alpha", "seed"])
def test_a_whole_number_has_no_decimals(name: str) -> None:
    with pytest.raises(TrainingError, match=f"{name} is 2.5; give a whole number"):
        Settings(**{name: 2.5})  # type: ignore[arg-type]
