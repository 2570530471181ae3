"""Compares two models on the same rows: by losses, and by right answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from . import margins, tolerance

_SURVIVING = 0.8
"""Fraction of the right answers that must remain for none to count as lost."""

TELLING = 0.2
"""Accuracy below which answers are inconclusive, so that losses are compared instead."""


@dataclass(frozen=True)
class Paired:
    """Comparison of two models on the same rows: the mean difference of their losses in nat, and its Student's t."""

    mean: float
    t: float
    rows: int

    def __str__(self) -> str:
        return f"{self.mean:+.4f} nat a token (t = {self.t:.1f}, {self.rows} rows)"


def compare(one: torch.Tensor, other: torch.Tensor) -> Paired:
    """Measures how much higher the first losses are than the second; NaN if a loss is not finite."""
    difference = one - other
    mean = difference.mean().item()
    error = difference.std().item() / math.sqrt(len(difference)) if len(difference) > 1 else 0.0
    t = mean / error if error else math.copysign(math.inf, mean) if mean else 0.0
    return Paired(mean, t, len(difference))


def has_fallen(fall: Paired) -> bool:
    """Returns whether losses fell by more than chance explains, so that training had an effect."""
    mean, t = margins.share_of_least(fall.mean, tolerance.FALL), margins.share_of_least(fall.t, tolerance.PAIRED_T)
    margins.record(max(mean, t))
    return fall.mean > tolerance.FALL and fall.t > tolerance.PAIRED_T


def is_worse(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Returns whether the first losses are not finite, or higher by more than chance and rounding explain."""
    found = compare(one, other)
    if not math.isfinite(found.mean):
        margins.record(math.inf)
        return True
    margins.record(min(found.mean / tolerance.LOSS, found.t / tolerance.PAIRED_T))
    return found.mean > tolerance.LOSS and found.t > tolerance.PAIRED_T


def is_better(one: Sequence[bool], other: Sequence[bool]) -> bool:
    """Returns whether the first answers are better: exact McNemar p < 0.001 and a gain in accuracy of at least 0.2."""
    gained = sum(a and not b for a, b in zip(one, other, strict=True))
    lost = sum(b and not a for a, b in zip(one, other, strict=True))
    total = gained + lost
    p = sum(math.comb(total, k) for k in range(min(gained, lost) + 1)) / 2**total * 2 if total else 1.0
    return gained - lost >= 0.2 * len(one) and p < 0.001  # noqa: PLR2004


def are_conclusive(one: Sequence[bool], other: Sequence[bool]) -> bool:
    """Returns whether answers alone show if the first lose against the others; if not, losses must be compared."""
    is_known = sum(other) >= TELLING * len(other)
    return is_better(other, one) or (is_known and sum(one) >= _SURVIVING * sum(other))
