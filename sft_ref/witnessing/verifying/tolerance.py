"""How close is equal when a loaded model is held against the record; docs/record.md has the measurements."""

from __future__ import annotations

LOGITS = {"float32": 2e-4, "float16": 2e-2, "bfloat16": 1e-1}
"""Largest root mean square difference of recorded logits, as a share of their spread, by the dtype that computes."""

LOSS = {"float32": 1e-3, "float16": 2e-2, "bfloat16": 1e-1}
"""Largest difference of a probe's mean loss, in nat, by the dtype that computes."""

EXACT = 2.0**-20
"""Largest relative difference of a float32 weight that is computed once more, as by merging."""

LOST = 0.02
"""Share of what the adapter adds that merging may lose to rounding."""

SAME_BASE = 0.03
"""Largest relative difference of weights that counts as rounding: 8 bits leave 0.01. Beyond it the base is another."""

FACTOR = 0.1
"""How far the factor, by which an adapter is in merged weights, may be from 0, 1 or 2."""

_COARSENESS = {"float64": 0, "float32": 1, "float16": 2, "bfloat16": 3}


def coarser(one: str, other: str) -> str:
    """The dtype of two that rounds more; those that are not known count as bfloat16."""
    return max((each if each in _COARSENESS else "bfloat16" for each in (one, other)), key=_COARSENESS.__getitem__)
