"""Measures the distance between served logprobs and recorded logits."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class LogprobDistance:
    """The distance of two models on the tokens that both list.

    Logprobs are renormalised over these tokens, since a server lists only a few.

    Attributes:
        share: root mean square difference of logprobs, relative to their spread at a position.
        largest: largest difference of a logprob, in nat.
        divergence: mean Kullback-Leibler divergence from the recorded model, in nat per token.
        positions: number of compared positions: those with two or more common tokens.
        unlike: number of positions without a common token.
    """

    share: float
    largest: float
    divergence: float
    positions: int
    unlike: int


def distance(served: torch.Tensor, recorded: torch.Tensor) -> LogprobDistance | None:
    """Compares logprobs with logits, which need not be normalised.

    Args:
        served: (probes, positions, ids); NaN if the server does not list the token.
        recorded: (probes, positions, ids); NaN if nothing is recorded.

    Returns:
        The distance; None if no position can be compared.
    """
    common = ~served.isnan() & ~recorded.isnan()
    enough = common.sum(-1) >= 2  # noqa: PLR2004  # a single one is always 0 when renormalised
    unlike = int((~recorded.isnan().all(-1) & ~common.any(-1)).sum())
    if not enough.any():
        return None
    one, other, known = served[enough].double(), recorded[enough].double(), common[enough]
    ours, theirs = (each.masked_fill(~known, -math.inf).log_softmax(-1) for each in (other, one))
    moved = (ours - theirs).masked_fill(~known, 0)
    counts = known.sum(-1, keepdim=True)
    centred = _centred(ours, known, counts)
    spread = float(centred.pow(2).sum() / known.sum()) ** 0.5
    apart = float(_centred(moved, known, counts).pow(2).sum() / known.sum()) ** 0.5
    divergence = (ours.exp() * moved).sum(-1).mean().clamp(min=0)
    return LogprobDistance(
        apart / spread if spread else math.inf, float(moved.abs().max()), float(divergence), len(counts), unlike
    )


def _centred(values: torch.Tensor, known: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Subtracts the mean of each position; unknown values become 0."""
    filled = values.masked_fill(~known, 0)
    return (filled - filled.sum(-1, keepdim=True) / counts).masked_fill(~known, 0)
