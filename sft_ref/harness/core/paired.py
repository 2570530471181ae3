"""Compares two models on the same rows: by losses, and by right answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from . import margins, tolerance

_SURVIVING = 0.8
"""Share of right answers that must be left for nothing to be lost."""

TELLING = 0.2
"""Accuracy below which answers tell nothing, and losses decide."""


@dataclass(frozen=True)
class Paired:
    """Two models on the same rows: the mean difference of their losses in nat, and Student's t of it."""

    mean: float
    t: float
    rows: int

    def __str__(self) -> str:
        return f"{self.mean:+.4f} nat a token (t = {self.t:.1f}, {self.rows} rows)"


def compare(one: torch.Tensor, other: torch.Tensor) -> Paired:
    """How much higher the first losses are than the second; NaN where a loss is not finite."""
    difference = one - other
    mean = difference.mean().item()
    error = difference.std().item() / math.sqrt(len(difference)) if len(difference) > 1 else 0.0
    t = mean / error if error else math.copysign(math.inf, mean) if mean else 0.0
    return Paired(mean, t, len(difference))


def has_fallen(fall: Paired) -> bool:
    """Whether losses are lower by more than chance, so that training did something."""
    mean, t = margins.share_of_least(fall.mean, tolerance.FALL), margins.share_of_least(fall.t, tolerance.PAIRED_T)
    margins.record(max(mean, t))
    return fall.mean > tolerance.FALL and fall.t > tolerance.PAIRED_T


def is_worse(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether the first losses are higher by more than chance and rounding, or not finite."""
    found = compare(one, other)
    if not math.isfinite(found.mean):
        margins.record(math.inf)
        return True
    margins.record(min(found.mean / tolerance.LOSS, found.t / tolerance.PAIRED_T))
    return found.mean > tolerance.LOSS and found.t > tolerance.PAIRED_T


def is_better(one: Sequence[bool], other: Sequence[bool]) -> bool:
    """Whether the first answers more rightly: exact McNemar p < 0.001 and a gain of at least 0.2."""
    gained = sum(a and not b for a, b in zip(one, other, strict=True))
    lost = sum(b and not a for a, b in zip(one, other, strict=True))
    total = gained + lost
    p = sum(math.comb(total, k) for k in range(min(gained, lost) + 1)) / 2**total * 2 if total else 1.0
    return gained - lost >= 0.2 * len(one) and p < 0.001  # noqa: PLR2004


def are_conclusive(one: Sequence[bool], other: Sequence[bool]) -> bool:
    """Whether answers show if the first ones lose anything against the others; else losses have to."""
    is_known = sum(other) >= TELLING * len(other)
    return is_better(other, one) or (is_known and sum(one) >= _SURVIVING * sum(other))
