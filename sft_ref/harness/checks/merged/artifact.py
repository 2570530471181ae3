"""Checks of the stage artifact: base and adapter merged into one set of weights."""

from __future__ import annotations

import math
from collections.abc import Iterable

from sft_ref.harness.core import margins, tolerance
from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.evidence.merged import MergedEvidence, MergedWeight

_TIMES = 0.25
"""Largest deviation from 1 of the delta's factor in a merged weight: far from 0 and 2, and well beyond rounding."""

_TWICE = 2.0
"""Number of rounding errors allowed per weight: one for the delta, and one for the sum."""


@check(
    "ART-301",
    "The folder contains the weights of the base, and no others",
    why="A weight that is missing is initialised at random, with a warning that is easily missed.",
    remedy="Save what merge_and_unload returns, with save_pretrained.",
    core=True,
)
def weights_are_complete(evidence: MergedEvidence) -> None:
    """ART-301: Compares names and shapes."""
    if evidence.not_computed:
        raise Unavailable(f"the merged weights of {evidence.not_computed} cannot be computed here")
    if evidence.problem:
        raise Failure(evidence.problem, "the weights of a model", evidence.folder)
    if found := evidence.differences:
        raise Failure(found[0].observed, found[0].expected, found[0].example)


@check(
    "ART-302",
    "The adapter is in the merged model once",
    why="A merge that is not saved leaves the base as it was; merging into a merged model adds the adapter twice.",
    remedy="Save what merge_and_unload returns, and merge into the unmerged base.",
    depends_on=("ART-301",),
    source="A1, A12; peft#1388",
    core=True,
)
def adapter_is_merged_once(evidence: MergedEvidence) -> None:
    """ART-302: Fits the factor of the delta in each weight by least squares, except where rounding hides the delta."""
    clear = [each for each in _adapted(evidence) if each.rounding <= tolerance.DROWNED * each.addition]
    if not clear:
        raise Unavailable("in every weight, rounding to the stored dtype is too coarse to see the adapter")
    odd = [each for each in clear if margins.exceeds(abs(each.times - 1), _TIMES)]
    if bad := [each for each in odd if not math.isfinite(each.times)]:
        raise Failure(f"{len(bad)} of {len(clear)} merged weights have NaN or infinity", "finite numbers", bad[0].name)
    if odd:
        raise Failure(
            f"the adapter is {_how_often(odd)} in {len(odd)} of {len(clear)} merged weights",
            "once in each",
            odd[0].name,
        )


@check(
    "ART-303",
    "Every adapted weight is the base's plus the adapter's addition, rounded once to its stored dtype",
    why="A merge that is computed in 16 bits, or into a quantised base, loses part of the trained change.",
    remedy="Load the base in float32, merge, and cast afterwards.",
    depends_on=("ART-302",),
    source="A1; peft#2421, litgpt#1224",
    core=True,
)
def merged_weights_are_exact(evidence: MergedEvidence) -> None:
    """ART-303: Compares the norm of the difference with that of rounding."""
    adapted = _adapted(evidence)
    odd = [each for each in adapted if margins.exceeds(each.error, _allowed(each, each.rounding))]
    if odd:
        worst = max(odd, key=lambda each: each.error / each.addition if each.addition else math.inf)
        share = worst.error / worst.addition if worst.addition else math.inf
        how = next((f", as a merge in {dtype} does" for dtype, error in worst.coarser.items() if _fits(odd, dtype)), "")
        seen = f"{len(odd)} of {len(adapted)} merged weights are off by up to {share:.2g} of what the adapter adds{how}"
        raise Failure(
            seen,
            f"an error of {worst.rounding:.2g}, as from rounding to {worst.dtype}, not {worst.error:.2g}",
            worst.name,
        )


@check(
    "ART-304",
    "Weights without an adapter equal the base's",
    why="The adapter fits only the base that it was trained on.",
    remedy="Merge into the base that the adapter was trained on, in the dtype of its files or a wider one.",
    depends_on=("ART-301",),
    core=True,
)
def other_weights_are_the_bases(evidence: MergedEvidence) -> None:
    """ART-304: Allows rounding to the stored dtype."""
    if not evidence.compared:
        raise Unavailable("every weight of the base has an adapter")
    if changed := evidence.changed:
        first = changed[0]
        seen = (
            f"{len(changed)} of {evidence.compared} weights without an adapter differ from the base's,"
            f" one by {first.error:.2g} of {first.base:.2g}"
        )
        raise Failure(seen, f"those of {evidence.base}", first.name)


@check(
    "ART-305",
    "Rounding to the stored dtype keeps the adapter",
    level=Level.CONTRACT,
    why="An addition below half the spacing of the stored numbers disappears in the sum.",
    remedy="Store the merged model in float32, or keep the adapter apart.",
    depends_on=("ART-301",),
    source="A1; peft#2421",
)
def rounding_keeps_the_adapter(evidence: MergedEvidence) -> None:
    """ART-305: Compares the norms of the rounding error and of the delta over all adapted weights."""
    adapted = _adapted(evidence)
    rounding, addition = (_norm(each.rounding for each in adapted), _norm(each.addition for each in adapted))
    if margins.exceeds(rounding, tolerance.DROWNED * addition):
        seen = f"rounding to {adapted[0].dtype} takes {rounding / addition:.2g} of what the adapter adds"
        raise Failure(seen, f"at most {tolerance.DROWNED:g}", max(adapted, key=lambda each: each.rounding).name)


def _adapted(evidence: MergedEvidence) -> list[MergedWeight]:
    """Returns the adapted weights that training changed.

    Raises:
        Unavailable: there are none.
    """
    adapted = [each for each in evidence.adapted if each.addition]
    if not adapted:
        raise Unavailable("the adapter adds nothing: a merge changes nothing")
    return adapted


def _allowed(weight: MergedWeight, rounding: float) -> float:
    return _TWICE * rounding + tolerance.WEIGHTS["float32"] * (weight.base + weight.addition)


def _fits(weights: Iterable[MergedWeight], dtype: str) -> bool:
    """Returns whether rounding to a dtype explains every difference."""
    return all(each.error <= _allowed(each, each.coarser[dtype]) for each in weights)


def _how_often(weights: list[MergedWeight]) -> str:
    times = sorted(each.times for each in weights)[len(weights) // 2]
    if abs(times) <= _TIMES:
        return "not there"
    return "there twice" if abs(times - 2) <= _TIMES else f"there {times:.2f} times"


def _norm(norms: Iterable[float]) -> float:
    return math.sqrt(sum(each**2 for each in norms))
