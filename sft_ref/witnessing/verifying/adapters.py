"""Compares adapter tensors and settings, in a file and in memory, with the record."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from sft_ref.witnessing.record.schema import TensorFingerprint, TrainingRecord

from .result import Kind, RecordDifference

_SHORT = (torch.float16, torch.bfloat16)

_COPY = "copy the adapter again from where it was trained"


def compare_tensors(
    record: TrainingRecord, found: Mapping[str, TensorFingerprint], kind: Kind, where: str
) -> Iterator[RecordDifference]:
    """Reports differences of adapter tensors.

    Args:
        record: record of the training.
        found: maps tensor names in a file to fingerprints.
        kind: "artifact" for tensors in a file, "load" for those in memory.
        where: name of the file, or of the model.
    """
    trained = record.adapter
    # a file may hold the base's own embeddings as well, as peft saves a resized vocabulary
    extra = [name for name in found if name not in trained and "lora_" in name]
    if missing := [name for name in trained if name not in found]:
        yield RecordDifference(
            kind,
            f"{where} lacks {len(missing)} of {len(trained)} trained tensors, {missing[0]} first"
            + (f", and has {len(extra)} unknown ones, {extra[0]} first" if extra else ""),
            _COPY if kind == "artifact" else "load the adapter with PeftModel.from_pretrained, and read its warnings",
            len(missing) / len(trained),
        )
    elif extra:
        yield RecordDifference(
            kind, f"{where} has {len(extra)} tensors that were not trained, {extra[0]} first", _COPY, float(len(extra))
        )
    changed = [name for name in trained if name in found and found[name].sha256 != trained[name].sha256]
    rounded = [name for name in changed if _is_rounded(trained[name], found[name])]
    others = [name for name in changed if name not in rounded]
    if rounded:
        yield _rounded(trained, found, rounded, where)
    if others:
        yield _changed(trained, found, others, kind, where)


def _rounded(
    trained: Mapping[str, TensorFingerprint], found: Mapping[str, TensorFingerprint], names: Sequence[str], where: str
) -> RecordDifference:
    size = max(_distance(trained[name], found[name]) for name in names)
    dtypes = f"{trained[names[0]].dtype} in training, {found[names[0]].dtype} in {where}"
    return RecordDifference(
        "precision",
        f"{len(names)} of {len(trained)} adapter tensors are rounded ({dtypes}), by {size:.2g} of their size",
        "keep the adapter in the dtype it was trained in",
        size,
    )


def _changed(
    trained: Mapping[str, TensorFingerprint],
    found: Mapping[str, TensorFingerprint],
    names: Sequence[str],
    kind: Kind,
    where: str,
) -> RecordDifference:
    first, own = names[0], {each.sha256: name for name, each in trained.items()}
    swapped = own.get(found[first].sha256)
    shaped = [name for name in names if found[name].shape != trained[name].shape]
    if shaped:
        now, then = found[shaped[0]].shape, trained[shaped[0]].shape
        what = (
            f"{len(shaped)} of {len(trained)} adapter tensors in {where} have another shape, like the shards of one"
            f" process of a sharded training ({shaped[0]} is {now}, and was {then})"
        )
    elif swapped is not None:
        what = f"{len(names)} of {len(trained)} adapter tensors in {where} have changed places: {first} is {swapped}"
    elif len(names) == len(trained):
        what = f"none of {len(trained)} adapter tensors in {where} is recorded: the adapter is of another training"
    elif all(found[name].norm == 0 for name in names):
        what = f"{len(names)} of {len(trained)} adapter tensors in {where} are zero, {first} first"
    else:
        what = f"{len(names)} of {len(trained)} adapter tensors in {where} have other values, {first} first"
    size = max(_distance(trained[name], found[name]) for name in names)
    remedy = _COPY if kind == "artifact" else "load the adapter beside the record, and make it the active one"
    return RecordDifference(kind, what, remedy, size)


def _is_rounded(trained: TensorFingerprint, found: TensorFingerprint) -> bool:
    """Whether the sampled values are those of the training, rounded to 16 bits."""
    if trained.shape != found.shape or None in trained.sample or not any(trained.sample):
        return False
    due = torch.tensor([each or 0.0 for each in trained.sample])
    return any(due.to(dtype).tolist() == found.sample for dtype in _SHORT)


def _distance(one: TensorFingerprint, other: TensorFingerprint) -> float:
    """Returns the relative difference of the sampled values; infinite if they cannot be compared."""
    if one.shape != other.shape or len(one.sample) != len(other.sample):
        return math.inf
    if None in one.sample or None in other.sample:
        return math.inf
    pairs = [(a, b) for a, b in zip(one.sample, other.sample, strict=True) if a is not None and b is not None]
    size = math.hypot(*(a for a, _ in pairs))
    return math.hypot(*(a - b for a, b in pairs)) / size if size else (0.0 if one.norm == other.norm else math.inf)


def compare_lora(
    record: TrainingRecord, found: Mapping[str, Any], kind: Kind, where: str
) -> Iterator[RecordDifference]:
    """Reports differences of the adapter's configuration."""
    for key in sorted(record.lora.keys() | found.keys()):
        trained, now = record.lora.get(key), found.get(key)
        if trained != now and not _is_same_selection(key, record, found):
            yield RecordDifference(
                kind,
                f"{key} was {_brief(trained)} in training, and {where} says {_brief(now)}",
                "restore the configuration that was trained",
            )


def _is_same_selection(key: str, record: TrainingRecord, found: Mapping[str, Any]) -> bool:
    """Whether target modules are a pattern in one configuration and a list in the other; the tensors decide."""
    return key == "target_modules" and any(isinstance(each.get(key), str) for each in (record.lora, found))


def compare_scalings(record: TrainingRecord, found: Mapping[str, float]) -> Iterator[RecordDifference]:
    """Reports differences of the effective factors on B @ A."""
    pairs = {name: (trained, found[name]) for name, trained in record.scalings.items() if name in found}
    wrong = {name: pair for name, pair in pairs.items() if not math.isclose(*pair, rel_tol=1e-6)}
    if wrong:
        name, (trained, now) = next(iter(wrong.items()))
        yield RecordDifference(
            "load",
            f"{len(wrong)} of {len(pairs)} modules scale the adapter by another factor: {name} by {now:.4g}, and by"
            f" {trained:.4g} in training",
            "restore lora_alpha, r and use_rslora, and do not scale adapters when they are loaded",
            max(abs(now / trained - 1) if trained else math.inf for trained, now in wrong.values()),
        )


def _brief(value: object) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."  # noqa: PLR2004
