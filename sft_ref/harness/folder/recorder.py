"""Looks at one adapter folder, from its files to the loaded model, as far as each step allows the next."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from sft_ref.harness import tolerance

from .beside import compare_beside
from .config import AdapterConfig, ConfigError, read_config
from .differences import find_differences
from .evidence import Evidence, Loaded
from .expected import (
    Expected,
    RefusedError,
    as_loaded,
    empty_base,
    find_expected,
    put_adapter,
    shapes_as_loaded,
)
from .files import READABLE, Files, find_files, named_adapters
from .loading import attach, load_base, logits_of, measure, random_tokens, read_tensors, watching
from .recorded import compare_record
from .tokenizers import find_tokenizer
from .weights import UnknownLayerError, put_due

Examine = Callable[[Any, Any], Any]
"""What looks at the answers of the loaded model: given the PeftModel and its tokenizer, gives evidence."""


def record(
    folder: Path, table: Mapping[str, Any], base: Path, *, examine: Examine | None = None
) -> Evidence:
    """All that is to be known of an adapter folder.

    Args:
        folder: of the adapter; not changed.
        table: its configuration.
        base: folder of its base.
        examine: looks at the answers of the loaded model; None where there is nothing to ask.

    Raises:
        SubmissionError: a file is a link that leads out of the folder.
        BaseModelError: the base cannot be loaded.
    """
    evidence = Evidence(find_files(folder), named_adapters(folder))
    try:
        evidence.config = read_config(table)
    except ConfigError as error:
        evidence.config_problem = str(error)
        return evidence
    files, config = evidence.files, evidence.config
    try:
        evidence.expected = find_expected(base, config, files.headers)
    except RefusedError as error:
        evidence.refusal = str(error)
    if files.damage or not files.headers or files.missing:
        return evidence
    if evidence.expected:
        evidence.differences = _differences(evidence.expected, files, base, config)
    if any(header.dtype not in READABLE for header in files.headers.values()):
        return evidence
    try:
        tensors = read_tensors(files.headers)
    except SafetensorError as error:
        evidence.files = replace(files, damage=f"a file of tensors cannot be read ({error})")
        return evidence
    evidence.values = measure(tensors)
    evidence.record = compare_record(folder, config, tensors)
    if evidence.expected is None:
        return evidence
    tokenizer, evidence.tokens = find_tokenizer(folder, base, evidence.expected.grown)
    if evidence.differences or any(values.bad for values in evidence.values.values()) or config.changes_base:
        return evidence
    _look_at_model(evidence, base, tensors, tokenizer, examine)
    return evidence


def _differences(expected: Expected, files: Files, base: Path, config: AdapterConfig) -> Any:  # noqa: ANN401
    found = find_differences(expected, files.shapes, config)
    if found:
        try:
            converted = find_differences(expected, shapes_as_loaded(files.headers, base, config), config)
        except Exception:  # noqa: BLE001  # tensors that fit no pattern break the conversion
            return found
        if not converted:
            return ()
    return found


def _look_at_model(
    evidence: Evidence,
    base: Path,
    tensors: Mapping[str, torch.Tensor],
    tokenizer: Any,  # noqa: ANN401
    examine: Examine | None,
) -> None:
    """Loads base and adapter, each once; the weights that are due take the adapter's place at the end."""
    config, expected = evidence.config, evidence.expected
    assert config is not None  # noqa: S101
    assert expected is not None  # noqa: S101
    model = load_base(base, expected.grown)
    named = as_loaded(tensors, put_adapter(empty_base(base), config)) if _is_converted(expected, tensors) else tensors
    evidence.beside = compare_beside(evidence.files.folder, model, named, config, expected.places)
    ids = random_tokens(min(expected.rows, expected.grown))
    bare = logits_of(model, ids)
    try:
        peft_model = attach(model, tensors, config)
    except RefusedError as error:
        evidence.loaded = Loaded(problem=str(error))
        return
    outermost = {place.module: f"base_model.model.{place.module}" for place in expected.places}
    with watching(peft_model, outermost) as outputs:
        logits = logits_of(peft_model, ids)
    if examine is not None and tokenizer is not None:
        evidence.answers = examine(peft_model, tokenizer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = peft_model.unload()
    apart, not_computed, first = _compare(plain, named, config, expected, ids, logits, outputs.found)
    finite = {"float32": bool(logits.isfinite().all())}
    for dtype in ("bfloat16", "float16"):
        finite[dtype] = _is_finite_in(plain, dtype, ids, base, expected.grown)
    evidence.loaded = Loaded(
        moved=_apart(logits, bare),
        largest=logits.abs().max().item(),
        finite=finite,
        stored=expected.dtype,
        apart=apart,
        not_computed=not_computed,
        first_apart=first,
    )


def _is_converted(expected: Expected, tensors: Mapping[str, torch.Tensor]) -> bool:
    return not tensors.keys() >= expected.required.keys()


def _compare(
    model: Any,  # noqa: ANN401
    tensors: Mapping[str, torch.Tensor],
    config: AdapterConfig,
    expected: Expected,
    ids: torch.Tensor,
    logits: torch.Tensor,
    outputs: Mapping[str, torch.Tensor],
) -> tuple[float | None, str, str]:
    """How far logits lie from those of the weights that are due; why that is not known; the first module apart."""
    try:
        put_due(model, tensors, config, expected.places)
    except UnknownLayerError as error:
        return None, str(error), ""
    with watching(model, {place.module: place.module for place in expected.places}) as due:
        apart = _apart(logits_of(model, ids), logits)
    first = next(
        (
            name
            for name, output in due.found.items()
            if name in outputs and not _apart(output, outputs[name]) <= tolerance.logits("float32", output)
        ),
        "",
    )
    return apart, "", first


def _is_finite_in(model: Any, dtype: str, ids: torch.Tensor, base: Path, rows: int) -> bool:  # noqa: ANN401
    """Whether logits are finite in 16 bits; where the base's own are not, the adapter is not to blame."""
    if logits_of(model.to(getattr(torch, dtype)), ids).isfinite().all():
        return True
    alone = load_base(base, rows).to(getattr(torch, dtype))
    return not logits_of(alone, ids).isfinite().all()


def _apart(one: torch.Tensor, other: torch.Tensor) -> float:
    apart = (one - other).abs().max().item()
    return apart if apart == apart else float("inf")  # noqa: PLR0124  # NaN is as far apart as can be
