"""Compares a merged model with base plus adapter, one weight at a time; peak memory is that of the largest weight."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from sft_ref.errors import SubmissionError
from sft_ref.harness.core import tolerance
from sft_ref.harness.evidence.adapter import KeyDifference
from sft_ref.harness.evidence.merged import MergedEvidence, MergedWeight, OtherWeight
from sft_ref.harness.recorders.folder.expected import RefusedError, as_loaded, empty_base, find_expected, put_adapter
from sft_ref.harness.recorders.folder.files import find_files
from sft_ref.harness.recorders.folder.tensors.stored_model import StoredModel
from sft_ref.harness.recorders.folder.tensors.streaming import StoredTensors
from sft_ref.harness.recorders.folder.weights import UnknownLayerError, merged_weights
from sft_ref.io.lora_config import AdapterConfig, ConfigError, base_of, read_config, read_table, why_not_judged
from sft_ref.io.reading import UnreadableError
from sft_ref.reference.bases.find import find_base

_ROUNDED = (torch.bfloat16, torch.float16)
"""Dtypes in which a merge is often computed."""


def record(folder: Path, adapter: Path, *, base: str | None = None) -> MergedEvidence:
    """Records a merged model; nothing is executed or changed.

    Args:
        folder: folder of the merged model.
        adapter: folder of the adapter that was merged.
        base: name or folder of the base model; None takes the one named in the adapter's configuration.

    Raises:
        SubmissionError: neither `base` nor the configuration names a base model, or the adapter's kind is unsupported.
        BaseModelError: the base model is not available.
    """
    config, named = _read_adapter(adapter, base)
    evidence = MergedEvidence(folder.name, named, adapter.name)
    base_folder = find_base(named, fetch=base is not None)
    try:
        return _compare(evidence, StoredModel(folder), base_folder, adapter, config)
    except UnknownLayerError as error:
        return replace(evidence, not_computed=str(error))
    except (UnreadableError, RefusedError) as error:
        return replace(evidence, problem=str(error))


def _read_adapter(adapter: Path, base: str | None) -> tuple[AdapterConfig, str]:
    try:
        table = read_table(adapter)
        if reason := why_not_judged(table):
            raise SubmissionError(f"--adapter {adapter}: {reason}: only LoRA for causal language models is understood")
        named = base or base_of(table)
        if named is None:
            raise SubmissionError(f"--adapter {adapter}: its configuration names no base; give --base")
        return read_config(table), named
    except (UnreadableError, ConfigError) as error:
        raise SubmissionError(f"--adapter {adapter}: {error}; give the adapter that was merged") from error


def _compare(
    evidence: MergedEvidence, merged: StoredModel, base_folder: Path, adapter: Path, config: AdapterConfig
) -> MergedEvidence:
    base, files = StoredModel(base_folder), find_files(adapter)
    for what, model in (("the base", base), ("the merged model", merged)):
        if model.unreadable_dtypes:
            raise UnknownLayerError(f"{what}, which is stored quantised ({', '.join(sorted(model.unreadable_dtypes))})")
    if files.damage or files.missing or not files.headers:
        raise UnreadableError(f"the tensors of the adapter cannot be read ({files.damage or 'a file is missing'})")
    expected = find_expected(base_folder, config, files.headers)
    tensors: Mapping[str, torch.Tensor] = StoredTensors(files.headers)
    if not tensors.keys() >= expected.required.keys():
        tensors = as_loaded(tensors, put_adapter(empty_base(base_folder), config))
    model = empty_base(base_folder)
    names = {own: found for own in base.headers if (found := merged.find(own)) is not None}
    adapted: list[MergedWeight] = []
    for name, before, after in merged_weights(model, tensors, config, expected.places, _reader(base)):
        own = base.find(name)
        if own is not None and own in names and merged.headers[names[own]].shape == tuple(after.shape):
            adapted.append(_measure(own, before, after, merged.read(names[own])))
    skipped = {each.name for each in adapted}
    others = list(_differing(merged, base, {own: name for own, name in names.items() if own not in skipped}))
    return replace(
        evidence,
        differences=tuple(_differences(merged, base, names, model)),
        adapted=tuple(adapted),
        compared=len(names) - len(adapted),
        changed=tuple(others),
    )


def _reader(base: StoredModel) -> Any:  # noqa: ANN401  # a function of a name
    def read(name: str) -> torch.Tensor:
        own = base.find(name)
        if own is None:
            raise UnknownLayerError(f"{name}, which the base does not store")
        return base.read(own).float()

    return read


def _measure(name: str, before: torch.Tensor, after: torch.Tensor, stored: torch.Tensor) -> MergedWeight:
    """Measures an adapted weight; `before` and `after` are the base weight without and with the adapter, in float32."""
    addition, found = after - before, stored.float()
    weight = addition.square().sum()
    return MergedWeight(
        name=name,
        dtype=tolerance.name_dtype(stored.dtype),
        base=before.norm().item(),
        addition=addition.norm().item(),
        error=(found - after).norm().item(),
        rounding=(after.to(stored.dtype).float() - after).norm().item(),
        coarser={tolerance.name_dtype(each): (after.to(each).float() - after).norm().item() for each in _ROUNDED},
        times=(((found - before) * addition).sum() / weight).item() if weight else 1.0,
    )


def _differing(merged: StoredModel, base: StoredModel, names: dict[str, str]) -> Iterator[OtherWeight]:
    """Yields weights without an adapter that differ from the base model's, after rounding to their stored dtype."""
    for own, name in names.items():
        before, found = base.read(own), merged.read(name)
        if before.shape != found.shape:
            continue
        error = (found.float() - before.to(found.dtype).float()).norm().item()
        norm = before.float().norm().item()
        if not error <= tolerance.WEIGHTS[tolerance.name_dtype(before.dtype)] * norm:
            yield OtherWeight(own, error, norm)


def _differences(merged: StoredModel, base: StoredModel, names: dict[str, str], model: Any) -> Iterator[KeyDifference]:  # noqa: ANN401
    """Yields differences in keys and shapes: missing weights, weights of another shape, weights unknown to the base."""
    tied = {name for name in base.headers if getattr(model.config, "tie_word_embeddings", False) and "lm_head" in name}
    if missing := sorted(base.headers.keys() - names.keys() - tied):
        yield KeyDifference(
            "missing", f"{len(missing)} weights of the base are not in the merged model", "none", missing[0]
        )
    shapes = {own: (merged.headers[name].shape, base.headers[own].shape) for own, name in names.items()}
    if other := {own: both for own, both in shapes.items() if both[0] != both[1]}:
        name, (found, due) = next(iter(other.items()))
        yield KeyDifference(
            "shape",
            f"{len(other)} weights have a different shape from that in the base, the first {found}",
            str(due),
            name,
        )
    unknown = sorted(merged.headers.keys() - set(names.values()))
    if adapter := [name for name in unknown if "lora_" in name]:
        yield KeyDifference("adapter", f"the merged model has {len(adapter)} tensors of an adapter", "none", adapter[0])
    elif stray := [name for name in unknown if "lm_head" not in name]:
        yield KeyDifference(
            "stray", f"the merged model has {len(stray)} tensors that the base does not have", "none", stray[0]
        )
