"""Tolerances for comparing a loaded model with the record; docs/record.md has the measurements."""

from __future__ import annotations

from sft_ref.harness.core import tolerance

LOGITS = {str(dtype).removeprefix("torch."): value for dtype, value in tolerance.ROUNDING.items()}
"""Largest root mean square difference of recorded logits, relative to their spread, by the dtype of the computation."""

LOSS = {"float32": 1e-3, "float16": 5e-2, "bfloat16": 2.5e-1}
"""Largest difference of a probe's mean loss, in nat, by the dtype of the computation. Tokens of the toy differ by 7e-6
in fp32, 1.2e-2 in fp16 and 0.12 in bf16, root mean square."""

EXACT = 2.0**-15
"""Largest difference of a tensor's sampled values, relative to their norm, that counts as no difference.

Merging in fp32 causes differences of 2**-24, or of 2**-16 if the device multiplies in TF32; rounding to fp16 causes
2**-12."""

SAME_BASE = 0.03
"""Largest difference of a tensor's sampled values, relative to their norm, that counts as rounding: 8 bits cause 0.014.
A larger difference means another base model."""

FACTOR = 0.1
"""Largest error of the factor by which an adapter is contained in merged weights."""

_COARSENESS = {"float64": 0, "float32": 1, "float16": 2, "bfloat16": 3}


def coarser(one: str, other: str) -> str:
    """Returns the dtype of two that rounds more; unknown dtypes count as bfloat16."""
    return max((each if each in _COARSENESS else "bfloat16" for each in (one, other)), key=_COARSENESS.__getitem__)
