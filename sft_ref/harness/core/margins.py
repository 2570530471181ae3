"""Records how close measured values are to their limits: a close result may differ from machine to machine."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from contextvars import ContextVar

_SHARES: ContextVar[list[float] | None] = ContextVar("shares", default=None)


@contextlib.contextmanager
def recorded() -> Iterator[list[float]]:
    """Collects, within the context, the ratio of value to limit of each comparison; above 1 is a failure."""
    shares: list[float] = []
    token = _SHARES.set(shares)
    try:
        yield shares
    finally:
        _SHARES.reset(token)


def record(share: float) -> None:
    """Records the ratio of one comparison; NaN counts as infinitely far above the limit."""
    shares = _SHARES.get()
    if shares is not None:
        shares.append(math.inf if math.isnan(share) else share)


def exceeds(value: float, limit: float) -> bool:
    """Returns whether a measured value is above its limit or NaN; a limit of 0 is exact and records no ratio."""
    if limit > 0:
        record(value / limit)
    return not value <= limit


def share_of_least(value: float, least: float) -> float:
    """Returns the ratio of a lower limit to a value; it is below 1 if the value is above the limit."""
    return least / value if value > 0 else math.inf
