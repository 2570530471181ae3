"""Summarises the pairs of matrices of an adapter in one line of a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from sft_ref.harness.evidence.adapter import PairValues

_FEW = 3
"""Maximum number of different values that are listed; for more, the range is shown."""


def describe_pairs(pairs: Sequence[PairValues]) -> str:
    """Describes the number of pairs, their ranks, scalings and dtypes, and the norms of their deltas."""
    additions = sorted(each.addition for each in pairs)
    parts = [
        f"{len(pairs)} pairs",
        f"rank {_values(each.rank for each in pairs)}",
        f"scaling {_values(each.scaling for each in pairs if each.scaling is not None)}",
        ", ".join(sorted({each.dtype for each in pairs})),
        f"norm of the addition {additions[0]:.3g} to {additions[-1]:.3g}, median {additions[len(pairs) // 2]:.3g}",
    ]
    if shares := sorted(each.addition / each.base for each in pairs if each.base):
        parts.append(f"{shares[0]:.2g} to {shares[-1]:.2g} of the weight's own, median {shares[len(shares) // 2]:.2g}")
    dead = sum(each.is_dead for each in pairs)
    return ", ".join([*parts, *([f"{dead} add nothing"] if dead else [])])


def _values(values: Iterable[float]) -> str:
    """Lists the values, the most frequent first, or their range if there are many."""
    counted = Counter(values)
    if len(counted) > _FEW:
        return f"{min(counted):.4g} to {max(counted):.4g}"
    return " or ".join(f"{value:.4g}" for value, _ in counted.most_common()) or "unknown"
