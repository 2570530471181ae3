"""How far a measured value is from its limit: what passes or fails by a hair differs from machine to machine."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from contextvars import ContextVar

_SHARES: ContextVar[list[float] | None] = ContextVar("shares", default=None)


@contextlib.contextmanager
def recorded() -> Iterator[list[float]]:
    """Within it, each comparison adds a share: 1 is exactly at the limit, and above it is a failure."""
    shares: list[float] = []
    token = _SHARES.set(shares)
    try:
        yield shares
    finally:
        _SHARES.reset(token)


def record(share: float) -> None:
    """Records one comparison; NaN counts as infinitely far above the limit."""
    shares = _SHARES.get()
    if shares is not None:
        shares.append(math.inf if math.isnan(share) else share)


def exceeds(value: float, limit: float) -> bool:
    """Whether a measured value is above its limit, or NaN. A limit of 0 is exact, and has no margin."""
    if limit > 0:
        record(value / limit)
    return not value <= limit


def share_of_least(value: float, least: float) -> float:
    """The share of a value that has to be above the least: below 1 if it is."""
    return least / value if value > 0 else math.inf
