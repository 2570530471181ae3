"""How close is equal when an endpoint is held against the record; docs/record.md has the measurements."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sft_ref.witnessing.record.schema import StoredRecord
from sft_ref.witnessing.verifying import tolerance

from .distance import LogprobDistance, distance

NEARER = 0.25
"""An endpoint is one of two models if it is at most this share as far from it as from the other: a rounded one comes to
0.1, an adapter at half its scaling to 0.6."""

_TIMES = 3.0
"""How often the rounding that the record shows may lie between server and training: in each of them, and in a merge."""

_WITHOUT = {"float16": 1e-2, "bfloat16": 5e-2}
"""Limits of the share where the record has no run in float32 to measure with: twice the worst measured."""


@dataclass(frozen=True)
class EndpointLimits:
    """What rounding explains: share of the spread, divergence and loss as in `LogprobDistance` and `ComparedRun`."""

    share: float
    divergence: float
    loss: float

    def allow(self, found: LogprobDistance | None, loss: float | None) -> bool:
        """Whether a difference is within; False where nothing is known."""
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
"""What rounding of served weights leaves, by its name, the finer one first: it names the size of a drift."""

COARSEST = EndpointLimits(_WITHOUT["bfloat16"], math.inf, tolerance.LOSS["bfloat16"])
"""How far a served base may be from the recorded one."""


def limits_of(stored: StoredRecord) -> EndpointLimits:
    """Limits for one record: of a training in 16 bits, by how far its own runs in 16 bits and in float32 are apart."""
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
