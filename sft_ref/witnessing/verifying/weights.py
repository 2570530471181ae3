"""Compares the weights of a loaded model with the sketch of the trained weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from sft_ref.reference.guards.dtypes import dtype_name
from sft_ref.reference.guards.names import plain
from sft_ref.witnessing.record.schema import StoredRecord
from sft_ref.witnessing.record.sketch import base_tensors, values_at

from . import tolerance
from .result import RecordDifference


@dataclass(frozen=True)
class ComparedTensor:
    """The sketch of one tensor, and the loaded values.

    Attributes:
        name: tensor name in the base model.
        dtype: dtype of the loaded tensor.
        found, base: loaded values and base values, in fp32.
        added: the adapter's delta at these values; None if the tensor has no adapter.
    """

    name: str
    dtype: str
    found: torch.Tensor
    base: torch.Tensor
    added: torch.Tensor | None

    @property
    def factor(self) -> float:
        """The multiple of the adapter in the tensor: 0 for a base weight, 1 if it is merged once."""
        if self.added is None or not self.added.any():
            return 0.0
        return float((self.found - self.base) @ self.added / (self.added @ self.added))

    def rest(self, factor: float) -> torch.Tensor:
        """Returns the remaining difference if the tensor contains the adapter `factor` times."""
        return self.found - self.base - (0.0 if self.added is None else factor * self.added)

    def error(self, factor: float) -> float:
        """Returns the norm of `rest`, relative to that of the base values."""
        size = float(self.base.norm())
        return float(self.rest(factor).norm()) / size if size else float(self.rest(factor).norm())


@dataclass(frozen=True)
class ComparedWeights:
    """All tensors that could be compared, and the names of those that could not."""

    tensors: tuple[ComparedTensor, ...]
    unreadable: tuple[str, ...]
    missing: tuple[str, ...]


def read_weights(stored: StoredRecord, model: torch.nn.Module) -> ComparedWeights:
    """Reads the sketched values of a loaded model."""
    loaded = dict(base_tensors(model, tied=True))  # sharded training unties tied weights
    modules = {plain(name) for name, _ in model.named_modules()}
    places = _places(stored.record.sketched, loaded)
    compared: list[ComparedTensor] = []
    unreadable: list[str] = []
    missing: list[str] = []
    for row, name in enumerate(stored.record.sketched):
        index, value, added = (stored.tensors[f"sketch_{each}"][row] for each in ("index", "value", "added"))
        tensor = loaded.get(places.get(name, ""))
        if tensor is None:  # a module without its weight stores it in another form
            (unreadable if name.rpartition(".")[0] in modules else missing).append(name)
        elif not tensor.is_floating_point() or tensor.element_size() < 2:  # noqa: PLR2004  # bytes
            unreadable.append(name)
        elif not 0 <= int(index.min()) <= int(index.max()) < tensor.numel():
            missing.append(name)
        else:
            found = values_at(tensor, index)
            own = None if bool(added.isnan().any()) else added.float()
            compared.append(ComparedTensor(name, dtype_name(tensor), found, value.float(), own))
    return ComparedWeights(tuple(compared), tuple(unreadable), tuple(missing))


def _places(names: Sequence[str], loaded: Mapping[str, torch.Tensor]) -> dict[str, str]:
    """Maps names in the base model to names in the loaded model, which may have other wrappers."""
    found = {}
    for name in names:
        if name in loaded:
            found[name] = name
            continue
        ends = [each for each in loaded if each.endswith(f".{name}") or name.endswith(f".{each}")]
        if len(ends) == 1:
            found[name] = ends[0]
    return found


def compare_weights(compared: ComparedWeights, *, is_merged: bool) -> Iterator[RecordDifference]:
    """Reports differences of the weights.

    Args:
        compared: the sketch and the loaded weights.
        is_merged: whether the adapter is, or should be, merged into the weights.
    """
    if not compared.tensors:
        return
    due = 1.0 if is_merged else 0.0
    other = [each for each in compared.tensors if min(each.error(due), each.error(each.factor)) > tolerance.SAME_BASE]
    if other:
        worst = max(other, key=lambda each: each.error(due))
        yield RecordDifference(
            "base",
            f"{len(other)} of {len(compared.tensors)} tensors of the base differ from those of training:"
            f" {worst.name} by {worst.error(due):.2g} of its size",
            "load the base that was trained on",
            worst.error(due),
        )
    same = [each for each in compared.tensors if each not in other]
    misplaced = [each for each in same if _is_misplaced(each, due)]
    if misplaced:
        yield _describe_factor(misplaced, same, is_merged=is_merged)
    yield from _rounding([each for each in same if each not in misplaced], due)


def _is_misplaced(each: ComparedTensor, due: float) -> bool:
    """Whether a weight contains the adapter another number of times than it should."""
    if each.added is None or abs(each.factor - due) <= tolerance.FACTOR:
        return False
    return float(each.rest(each.factor).norm()) < 0.5 * float(each.rest(due).norm())


def _describe_factor(
    misplaced: Sequence[ComparedTensor], same: Sequence[ComparedTensor], *, is_merged: bool
) -> RecordDifference:
    adapted = sum(each.added is not None for each in same)
    factor = sorted(each.factor for each in misplaced)[len(misplaced) // 2]
    which = f"{len(misplaced)} of {adapted} adapted weights"
    if not is_merged:
        what = f"{which} hold the adapter {factor:.2g} times already, and it is added once more"
        remedy = "put the adapter on the base that was trained on, not on a merged model"
    elif abs(factor) <= tolerance.FACTOR:
        what, remedy = f"{which} are the base's: the adapter is not in them", "load the adapter, or merge it"
    else:
        what = f"{which} hold the adapter {factor:.2g} times"
        remedy = "merge the adapter once, with the scaling it was trained with"
    return RecordDifference("load", what, remedy, factor)


def _rounding(tensors: Sequence[ComparedTensor], due: float) -> Iterator[RecordDifference]:
    """Reports rounded weights, and the share of the adapter that rounding loses."""
    rounded = [each for each in tensors if each.error(due) > tolerance.EXACT]
    lost = [
        float(each.rest(due).norm() / each.added.norm())
        for each in rounded
        if due and each.added is not None and each.added.any()
    ]
    if not rounded:
        return
    worst = max(rounded, key=lambda each: each.error(due))
    what = (
        f"{len(rounded)} of {len(tensors)} tensors of the base are rounded: {worst.name} (now {worst.dtype}) by"
        f" {worst.error(due):.2g} of its size"
    )
    if lost:
        what += f", which loses {sum(lost) / len(lost):.1%} of the adapter where it adds most"
    yield RecordDifference(
        "precision", what, "load the base in the dtype it was trained in, and merge in float32", worst.error(due)
    )
