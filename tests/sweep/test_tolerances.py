"""A number moves when it leaves its band."""

from __future__ import annotations

import math
from typing import Any

import pytest

from sft_ref.sweep.tolerances import TOLERANCES, Tolerance


@pytest.mark.parametrize("band", TOLERANCES, ids=lambda band: band.quantity)
def test_what_is_not_finite_never_matches_not_even_itself(band: Tolerance) -> None:
    for odd in (math.nan, math.inf, None):
        assert band.moved(odd, odd)
        assert band.moved(1.0, odd)
        assert band.moved(odd, 1.0)
    assert band.why


@pytest.mark.parametrize(
    ("kind", "allowed", "golden", "near", "far"),
    [
        ("equal", 0, "same", "same", "drift"),
        ("apart", 0.1, 1.0, 1.05, 1.2),
        ("share", 0.1, 10.0, 10.5, 12.0),
        ("times", 3, 1.0, 2.5, 4.0),
        ("times", 3, 1.0, 0.4, 0.2),
        ("times", 3, 0.0, 0.0, 1e-9),
    ],
)
def test_a_number_moves_when_it_leaves_its_band(kind: Any, allowed: float, golden: Any, near: Any, far: Any) -> None:
    band = Tolerance("x", kind, allowed, "a trial")
    assert not band.moved(golden, near)
    assert band.moved(golden, far)
