"""Evidence about a merged model: its weights, compared with those of base model and adapter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .adapter import KeyDifference


@dataclass(frozen=True)
class MergedWeight:
    """A base weight that the adapter changes, as stored in the merged model.

    Norms are Frobenius norms over the weight, in float32.

    Attributes:
        name: name of the weight in the base model.
        dtype: the dtype in which it is stored.
        base: norm of the base weight.
        addition: norm of the adapter's delta.
        error: norm of the difference between the stored weight and base plus delta.
        rounding: norm of the error of rounding base plus delta to `dtype` once.
        coarser: maps each coarser dtype to the same norm for a sum that is first rounded to that dtype.
        times: the multiple of the delta that the stored weight contains, by least squares: 1 is right, 0 is the base
            alone.
    """

    name: str
    dtype: str
    base: float
    addition: float
    error: float
    rounding: float
    coarser: Mapping[str, float] = field(default_factory=dict)
    times: float = 1.0


@dataclass(frozen=True)
class OtherWeight:
    """A weight without an adapter that differs from the base weight by more than rounding to its stored dtype.

    Attributes:
        name: name of the weight.
        error: norm of the difference.
        base: norm of the base weight.
    """

    name: str
    error: float
    base: float


@dataclass(frozen=True)
class MergedEvidence:
    """Recorded evidence about one merged model, with the adapter and base model that it was made from.

    Attributes:
        folder: name of the merged model's folder.
        base: name of the base model.
        adapter: name of the adapter's folder.
        problem: why the files cannot be compared; the other fields are unset in that case.
        differences: differences between names and shapes of the weights and those of the base model.
        adapted: weights that the adapter changes.
        compared: number of other weights that were compared.
        changed: the other weights that differ.
        not_computed: the kind of module whose merged weight cannot be computed.
    """

    folder: str
    base: str
    adapter: str
    problem: str = ""
    differences: tuple[KeyDifference, ...] = ()
    adapted: tuple[MergedWeight, ...] = ()
    compared: int = 0
    changed: tuple[OtherWeight, ...] = ()
    not_computed: str = ""
