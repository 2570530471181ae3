"""Looks at one adapter folder, from its files to the loaded model, as far as each step allows the next."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from sft_ref.harness.core.sizes import UNLIMITED, Size, SizeLimits
from sft_ref.harness.instruments import tolerance
from sft_ref.io.lora_config import AdapterConfig, ConfigError, read_config
from sft_ref.io.tensor_headers import READABLE

from .answers import AnswersEvidence
from .beside import compare_beside
from .differences import Difference, find_differences
from .evidence import Evidence, Loaded
from .expected import Expected, RefusedError, as_loaded, empty_base, find_expected, is_taken, put_adapter
from .files import Files, find_files, named_adapters
from .loading import attach, choose_tokens, load_base, logits_of, measure, read_tensors, watching
from .recorded import compare_record
from .tokenizers import find_tokenizer
from .weights import UnknownLayerError, put_due

Examine = Callable[[Any, Any, str | None], AnswersEvidence]
"""What looks at the answers of the loaded model: given the PeftModel, tokenizer and chat template, gives evidence."""


def record(
    folder: Path,
    table: Mapping[str, Any],
    base: Path,
    *,
    limits: SizeLimits = UNLIMITED,
    examine: Examine | None = None,
) -> Evidence:
    """All that is to be known of an adapter folder.

    Args:
        folder: of the adapter; not changed.
        table: its configuration.
        base: folder of its base.
        limits: of size.
        examine: looks at the answers of the loaded model; None where there is nothing to ask.

    Raises:
        SubmissionError: a file is a link that leads out of the folder.
        BaseModelError: the base cannot be loaded.
    """
    evidence = Evidence(find_files(folder), named_adapters(folder), limits=limits)
    try:
        evidence.config = config = read_config(table)
    except ConfigError as error:
        evidence.config_problem = str(error)
        return evidence
    try:
        evidence.expected = find_expected(base, config, evidence.files.headers)
        evidence.size = _measure_size(evidence.files, evidence.expected)
    except RefusedError as error:
        evidence.refusal = str(error)
    tensors = _look_at_tensors(evidence, base, config)
    if evidence.expected is None or not tensors:
        return evidence
    tokenizer, evidence.tokens = find_tokenizer(folder, base, evidence.expected.grown)
    lost = [each for each in evidence.differences if each.name != "taken name"]
    if not lost and not config.changes_base and _are_finite(evidence):
        named = _as_expected(tensors, evidence.expected, base, config)
        _look_at_model(evidence, _Parts(base, config, evidence.expected, tensors, named), tokenizer, examine)
    return evidence


@dataclass(frozen=True)
class _Parts:
    """What a loaded model is made of.

    Attributes:
        base: its folder.
        config: of the adapter.
        expected: of the adapter.
        tensors: as the file names them.
        named: as this version of transformers names them.
    """

    base: Path
    config: AdapterConfig
    expected: Expected
    tensors: Mapping[str, torch.Tensor]
    named: Mapping[str, torch.Tensor]


def _look_at_tensors(evidence: Evidence, base: Path, config: AdapterConfig) -> dict[str, torch.Tensor]:
    """The adapter's tensors, with names, numbers and record compared; none where they cannot be read."""
    files = evidence.files
    if files.damage or files.missing:
        return {}
    if evidence.expected and files.headers:
        evidence.differences = _differences(evidence.expected, files, base, config)
    if any(header.dtype not in READABLE for header in files.headers.values()):
        return {}
    try:
        tensors = read_tensors(files.headers)
    except Exception as error:  # noqa: BLE001  # a foreign file may break the library in any way
        evidence.files = replace(files, damage=f"a file of tensors cannot be read ({error})")
        return {}
    if tensors:
        evidence.values = measure(tensors)
        evidence.record = compare_record(files.folder, config, tensors)
    return tensors


def _differences(expected: Expected, files: Files, base: Path, config: AdapterConfig) -> tuple[Difference, ...]:
    """Those that cost something: names that peft takes although it gives others do not, but for the adapter's own."""
    found = find_differences(expected, files.shapes, config)
    lacks_whole = any(each.name == "whole" for each in found)
    if not found or lacks_whole or not is_taken(files.headers, base, config, expected.grown):
        return found
    return tuple(replace(each, name="taken name") for each in found if each.name == "adapter name")


def _measure_size(files: Files, expected: Expected) -> Size:
    bundle = sum(path.stat().st_size for path in files.folder.rglob("*") if path.is_file())
    numbers = sum(math.prod(header.shape) for header in files.headers.values())
    return Size(sum(path.stat().st_size for path in files.weights), bundle, expected.parameters + numbers)


def _are_finite(evidence: Evidence) -> bool:
    return not any(values.bad for values in (evidence.values or {}).values())


def _as_expected(
    tensors: Mapping[str, torch.Tensor], expected: Expected, base: Path, config: AdapterConfig
) -> Mapping[str, torch.Tensor]:
    if tensors.keys() >= expected.required.keys():
        return tensors
    return as_loaded(tensors, put_adapter(empty_base(base), config))


def _look_at_model(
    evidence: Evidence,
    parts: _Parts,
    tokenizer: Any,  # noqa: ANN401
    examine: Examine | None,
) -> None:
    """Loads base and adapter, each once; at the end the weights that are due take the adapter's place."""
    config, expected = parts.config, parts.expected
    model = load_base(parts.base, expected.grown)
    evidence.beside = compare_beside(evidence.files.folder, model, parts.named, config, expected.places)
    ids = choose_tokens(model, parts.named, config)
    bare = logits_of(model, ids)
    try:
        peft_model = attach(model, parts.tensors, config)
    except RefusedError as error:
        evidence.loaded = Loaded(problem=str(error))
        return
    with watching(peft_model, {place.module: f"base_model.model.{place.module}" for place in expected.places}) as seen:
        logits = logits_of(peft_model, ids)
    if examine is not None and tokenizer is not None:
        template = evidence.tokens.chat_template if evidence.tokens else None
        evidence.answers = examine(peft_model, tokenizer, template)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = peft_model.unload()
    loaded = Loaded(moved=_apart(logits, bare), largest=logits.abs().max().item(), stored=expected.dtype)
    try:
        put_due(plain, parts.named, config, expected.places)
    except UnknownLayerError as error:
        evidence.loaded = replace(loaded, not_computed=str(error), finite={"float32": _is_finite(logits)})
        return
    with watching(plain, {place.module: place.module for place in expected.places}) as due:
        apart = _apart(logits_of(plain, ids), logits)
    evidence.loaded = replace(
        loaded,
        apart=apart,
        first_apart=_first_apart(due.found, seen.found),
        finite={"float32": _is_finite(logits)}
        | {dtype: _is_finite_in(plain, dtype, ids, parts) for dtype in ("bfloat16", "float16")},
    )


def _first_apart(due: Mapping[str, torch.Tensor], seen: Mapping[str, torch.Tensor]) -> str:
    """The first module whose output differs by more than rounding; empty where none does."""
    for name, output in due.items():
        if name in seen and not _apart(output, seen[name]) <= tolerance.logits("float32", output):
            return name
    return ""


def _is_finite(logits: torch.Tensor) -> bool:
    return bool(logits.isfinite().all())


def _is_finite_in(model: Any, dtype: str, ids: torch.Tensor, parts: _Parts) -> bool:  # noqa: ANN401
    """Whether logits are finite in 16 bits; where the base's own are not, the adapter is not to blame."""
    if _is_finite(logits_of(model.to(getattr(torch, dtype)), ids)):
        return True
    alone = load_base(parts.base, parts.expected.grown).to(getattr(torch, dtype))
    return not _is_finite(logits_of(alone, ids))


def _apart(one: torch.Tensor, other: torch.Tensor) -> float:
    apart = (one - other).abs().max().item()
    return float("inf") if math.isnan(apart) else apart
