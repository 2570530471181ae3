"""How close is equal when a loaded model is held against the record; docs/record.md has the measurements."""

from __future__ import annotations

from sft_ref.harness.core import tolerance

LOGITS = {str(dtype).removeprefix("torch."): value for dtype, value in tolerance.ROUNDING.items()}
"""Largest root mean square difference of recorded logits, as a share of their spread, by the dtype that computes."""

LOSS = {"float32": 1e-3, "float16": 5e-2, "bfloat16": 2.5e-1}
"""Largest difference of a probe's mean loss, in nat, by the dtype that computes. Tokens of the toy differ by 7e-6 in
fp32, 1.2e-2 in fp16 and 0.12 in bf16, root mean square."""

EXACT = 2.0**-15
"""Largest difference of a tensor's kept values, as a share of their norm, that counts as none.

Merging in fp32 leaves 2**-24, and 2**-16 where the device multiplies in TF32; rounding to fp16 leaves 2**-12."""

SAME_BASE = 0.03
"""Largest difference of a tensor's kept values, as a share of their norm, that counts as rounding: 8 bits leave 0.014.
Beyond it the base is another."""

FACTOR = 0.1
"""How far the factor, by which an adapter is in merged weights, may be from what it should be."""

_COARSENESS = {"float64": 0, "float32": 1, "float16": 2, "bfloat16": 3}


def coarser(one: str, other: str) -> str:
    """The dtype of two that rounds more; those that are not known count as bfloat16."""
    return max((each if each in _COARSENESS else "bfloat16" for each in (one, other)), key=_COARSENESS.__getitem__)
