"""What can be observed of a merged model: its weights against those of base and adapter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .adapter import KeyDifference


@dataclass(frozen=True)
class MergedWeight:
    """A weight of the base that the adapter changes, as the merged model has it.

    Norms are Frobenius norms over the weight, in float32.

    Attributes:
        name: of the weight in the base.
        dtype: in which it is stored.
        base: norm of the base's weight.
        addition: norm of what the adapter adds to it.
        error: norm of the difference from base plus addition.
        rounding: norm of the error that base plus addition has if it is rounded to `dtype` once.
        coarser: dtype -> the same, for a sum that is rounded to that dtype first.
        times: how many times the addition is in the stored weight, by least squares: 1 is right, 0 is the base alone.
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
    """A weight that is not adapted, and that differs from the base's by more than rounding to its stored dtype.

    Attributes:
        name: of the weight.
        error: norm of the difference.
        base: norm of the base's weight.
    """

    name: str
    error: float
    base: float


@dataclass(frozen=True)
class MergedEvidence:
    """One merged model, with the adapter and the base that it is made of.

    Attributes:
        folder: name of the model's folder.
        base: name of the base.
        adapter: name of the adapter's folder.
        problem: why the files cannot be compared; nothing else is known then.
        differences: names and shapes of weights that differ from the base's.
        adapted: weights that the adapter changes.
        compared: how many other weights were compared.
        changed: those of them that differ.
        not_computed: the kind of module whose merged weight is not computed.
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
