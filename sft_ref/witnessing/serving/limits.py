"""Tolerances for comparing an endpoint with the record; docs/record.md has the measurements."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sft_ref.witnessing.record.schema import StoredRecord
from sft_ref.witnessing.verifying import tolerance

from .distance import LogprobDistance, distance

NEARER = 0.25
"""An endpoint serves one of two models if its distance to it is at most this multiple of its distance to the other. The
ratio is 0.1 for a rounded model, and 0.6 for an adapter with half its scaling."""

_TIMES = 3.0
"""Multiple of the recorded rounding error that is allowed: for the server, for training, and for a merge."""

_WITHOUT = {"float16": 1e-2, "bfloat16": 5e-2}
"""Limits of `share` if the record has no float32 run to measure with: twice the largest measured value."""


@dataclass(frozen=True)
class EndpointLimits:
    """Differences that rounding explains: `share`, `divergence` and `loss` of `LogprobDistance` and `ComparedRun`."""

    share: float
    divergence: float
    loss: float

    def allow(self, found: LogprobDistance | None, loss: float | None) -> bool:
        """Whether a difference is within the limits; False if nothing is known."""
        if found is None:
            return loss is not None and loss <= self.loss
        return (
            found.share <= self.share
            and found.divergence <= self.divergence
            and found.unlike <= found.positions
            and (loss is None or loss <= self.loss)
        )


ROUNDED = {
    "float16": EndpointLimits(5e-3, 1e-5, tolerance.LOSS["float16"]),
    "bfloat16 or 8 bits": EndpointLimits(5e-2, 1e-4, tolerance.LOSS["bfloat16"]),
}
"""Limits for rounding of served weights, by its name, the finer one first; used to name the size of a drift."""

COARSEST = EndpointLimits(_WITHOUT["bfloat16"], math.inf, tolerance.LOSS["bfloat16"])
"""Maximum distance between a served base model and the recorded one."""


def limits_of(stored: StoredRecord) -> EndpointLimits:
    """Returns the limits for one record.

    For a training in 16 bits, they follow from the distance between its own runs in 16 bits and in float32.
    """
    precision = stored.record.precision
    dtype = tolerance.coarser(precision.autocast or precision.base, "float32")
    least = tolerance.LOGITS["float32"]
    if dtype == "float32":
        return EndpointLimits(least, math.inf, tolerance.LOSS[dtype])
    rounded, exact = stored.run("trained"), stored.run("trained_fp32")
    own = None if rounded is None or exact is None else distance(rounded, exact)
    if own is None:
        return EndpointLimits(_WITHOUT[dtype], math.inf, tolerance.LOSS[dtype])
    # a divergence grows with the square of the difference
    return EndpointLimits(max(least, _TIMES * own.share), max(1e-6, _TIMES**2 * own.divergence), tolerance.LOSS[dtype])
