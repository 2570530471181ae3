"""Comparisons with a limit leave the share of it that they take up."""

import math

import pytest
import torch

from sft_ref.harness.core import margins, tolerance
from sft_ref.harness.core.paired import Paired, has_fallen, is_worse


@pytest.mark.parametrize(
    ("value", "limit", "fails", "shares"),
    [
        (0.5, 1.0, False, [0.5]),
        (1.0, 1.0, False, [1.0]),
        (3.0, 1.0, True, [3.0]),
        (math.nan, 1.0, True, [math.inf]),
        (0.1, 0.0, True, []),
        (0.0, 0.0, False, []),
    ],
)
def test_a_value_is_held_against_its_limit(value: float, limit: float, fails: bool, shares: list[float]) -> None:
    with margins.recorded() as found:
        assert margins.exceeds(value, limit) is fails
    assert found == shares
    assert margins.exceeds(value, limit) is fails  # nobody records it


def test_two_losses_are_as_far_apart_as_the_smaller_of_two_shares() -> None:
    base = torch.zeros(64)
    with margins.recorded() as found:
        assert is_worse(base + 0.25 + 1e-3 * torch.arange(64) / 64, base)
        assert not is_worse(base + 0.05, base)
        assert is_worse(base + math.nan, base)
    assert found[0] == pytest.approx(0.25 / tolerance.LOSS, rel=0.01)
    assert found[1] == pytest.approx(0.5, rel=0.01)
    assert found[2] == math.inf


@pytest.mark.parametrize(
    ("mean", "t", "fallen", "share"),
    [(0.04, 50.0, True, 0.25), (0.04, 6.25, True, 0.8), (0.005, 50.0, False, 2.0), (-1.0, -9.0, False, math.inf)],
)
def test_a_fall_has_to_be_larger_than_both_limits(mean: float, t: float, fallen: bool, share: float) -> None:
    with margins.recorded() as found:
        assert has_fallen(Paired(mean, t, 64)) is fallen
    assert found == [pytest.approx(share)]
