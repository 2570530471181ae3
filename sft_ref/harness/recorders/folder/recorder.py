"""Records one adapter folder, from its files to the loaded model; stops where a failed step prevents the next."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from sft_ref.errors import AdapterError, BaseModelError, DataError, SubmissionError
from sft_ref.harness.core.judges import find_judge
from sft_ref.harness.core.sizes import Size
from sft_ref.harness.evidence.adapter import (
    AdapterEvidence,
    AdapterFiles,
    ExpectedTensors,
    KeyDifference,
    LoadedAdapter,
    PairValues,
)
from sft_ref.harness.evidence.answers import TEMPLATE, AnswersEvidence
from sft_ref.harness.instruments.memory.free_memory import free_memory
from sft_ref.io.base_config import has_weights
from sft_ref.io.lora_config import AdapterConfig, ConfigError, base_of, read_config, read_table, why_not_judged
from sft_ref.io.reading import UnreadableError, plain_bytes
from sft_ref.io.tensor_headers import READABLE
from sft_ref.reference.bases.find import find_base
from sft_ref.reference.fingerprints import fingerprint_adapter
from sft_ref.reference.record import RECORD, Record

from .answers import EXAMPLE, Row, Wording, check_writing, choose_wording, examine, read_rows, read_template
from .chat_template import observe_template
from .differences import find_differences
from .expected import RefusedError, as_loaded, empty_base, find_expected, peft_accepts, put_adapter
from .experts import for_each_expert
from .files import find_files, is_file, named_adapters
from .loading import (
    attach,
    choose_tokens,
    first_difference,
    is_finite,
    is_finite_in,
    largest_difference,
    load_base,
    logits_of,
    run_model,
)
from .stops import stop_contract
from .tensors.pairs import measure_bases, measure_pairs
from .tensors.quantised import Quantisation, read_quantisation
from .tensors.stored_model import StoredModel
from .tensors.streaming import StoredTensors, measure
from .tokenizers import find_tokenizer
from .weights import UnknownLayerError, put_expected_weights
from .whole_model import compare_whole_model

_FLOAT32 = 4
"""Bytes per number."""

_SPARE = 1.2
"""Peak memory of a loaded model, as a multiple of the memory of its parameters."""


def record(
    folder: Path,
    *,
    base: str | None = None,
    prompt: str | None = None,
    chat_template: str | None = None,
    data: Path | None = None,
    judge: str | None = None,
) -> AdapterEvidence:
    """Records an adapter folder; nothing in it is executed or changed.

    Args:
        folder: folder of the adapter.
        base: name or folder of the base model; None takes the one named in the adapter's configuration.
        prompt: format of the texts, with ``{question}`` and ``{answer}`` in it; None if unknown.
        chat_template: "tokenizer", or the path of the chat template that formats the texts; None if unknown.
        data: file of questions and answers; None if there are none.
        judge: ``module:function`` that decides whether an answer is right; None for the default.

    Raises:
        SubmissionError: the prompt lacks question or answer, the template does not exist, neither `base` nor the
            configuration names a base model, or a file is a link that leads out of the folder.
        DataError: the rows cannot be read, or cannot be formatted by the template.
        BaseModelError: the base model is not available, or cannot be loaded.
    """
    check_writing(prompt, chat_template)
    is_right = None if judge is None else find_judge(judge)
    rows = () if data is None else read_rows(data, prompt=prompt)
    has_questions = prompt is not None or data is not None
    evidence = AdapterEvidence(
        AdapterFiles(folder),
        subfolders=named_adapters(folder),
        answers=AnswersEvidence("the adapter is not loaded") if has_questions else None,
    )
    try:
        table = read_table(folder)
    except UnreadableError as error:
        return replace(evidence, files=find_files(folder), config_problem=str(error))
    if reason := why_not_judged(table):
        return replace(evidence, not_judged=reason)
    named = base or base_of(table)
    if named is None:
        raise SubmissionError(f"{folder.name}: its configuration names no base; give --base")
    base_folder = find_base(named, fetch=base is not None)  # a base that only the configuration names is never fetched
    evidence = replace(evidence, base=named, files=find_files(folder))
    try:
        config = read_config(table)
    except ConfigError as error:
        return replace(evidence, config_problem=str(error))
    evidence = _record_tensors(replace(evidence, config=config), base_folder, config)
    expected = evidence.expected
    if expected is None or not evidence.values:
        return evidence
    tokenizer, found = find_tokenizer(folder, base_folder, expected.rows)
    quantisation = read_quantisation(base_folder)
    evidence = replace(
        evidence,
        tokenizer=found,
        not_loaded=_why_not_loaded(base_folder, expected, quantisation),
        base_format=quantisation.name if quantisation else expected.dtype,
        pairs=_measure_bases(evidence.pairs, base_folder, expected, quantisation),
    )
    template = read_template(chat_template, found.chat_template)
    by_name = chat_template is not None
    if tokenizer is not None and (has_questions or by_name):
        write = partial(choose_wording, tokenizer=tokenizer, prompt=prompt, template=template, by_name=by_name)
        wording = _try_to_write(write, rows, data, is_required=by_name or prompt is not None)
        ending = None if wording is None else stop_contract(wording, tokenizer, base_folder)
        evidence = replace(evidence, ending=ending)
        if template is not None and wording is not None and wording.name == TEMPLATE:
            evidence = replace(evidence, template=observe_template(template, tokenizer, rows))
    if evidence.not_loaded or not _can_be_loaded(evidence, config):
        return evidence
    tensors = dict(StoredTensors(evidence.files.headers))
    ask = None
    if has_questions and tokenizer is not None:
        ask = partial(
            examine,
            tokenizer=tokenizer,
            prompt=prompt,
            rows=rows,
            chat_template=template,
            by_template=by_name,
            judge=is_right,
        )
    return _record_model(evidence, base_folder, config, expected, tensors, ask=ask)


def _try_to_write(
    write: Callable[..., Wording], rows: Sequence[Row], data: Path | None, *, is_required: bool
) -> Wording | None:
    """Formats the rows as training texts; returns None if their format is unknown.

    Raises:
        DataError: the rows do not fit the format that the options request.
    """
    try:
        return write(rows or [EXAMPLE], data=data)
    except DataError:
        if is_required:
            raise
        return None


def _why_not_loaded(base: Path, expected: ExpectedTensors, quantisation: Quantisation | None) -> str:
    """Returns why the base model cannot be loaded here, independently of the adapter; empty if it can."""
    if not has_weights(base):
        return "the folder of the base holds no weights"
    if quantisation is not None:
        return f"the base is quantised ({quantisation.name}), and cannot be run here"
    needed, free = _FLOAT32 * expected.parameters, free_memory()
    if _SPARE * needed > free:
        return f"the base in float32 takes {needed / 1e9:.3g} GB, and {free / 1e9:.3g} GB of memory are free"
    return ""


def _measure_bases(
    pairs: tuple[PairValues, ...] | None, base: Path, expected: ExpectedTensors, quantisation: Quantisation | None
) -> tuple[PairValues, ...] | None:
    if not pairs or not has_weights(base):
        return pairs
    try:
        return measure_bases(pairs, StoredModel(base), expected, quantisation)
    except UnreadableError as error:
        raise BaseModelError(f"base {base}: its weights cannot be read ({error}); copy the folder again") from error


def _can_be_loaded(evidence: AdapterEvidence, config: AdapterConfig) -> bool:
    """Returns whether the files allow a judgement of the loaded model: no lost or non-finite tensor, base unchanged."""
    is_lost = any(each.pattern != "taken name" for each in evidence.differences)
    is_finite = not any(values.nonfinite for values in (evidence.values or {}).values())
    return is_finite and not is_lost and not config.changes_base


def _record_model(
    evidence: AdapterEvidence,
    base: Path,
    config: AdapterConfig,
    expected: ExpectedTensors,
    tensors: Mapping[str, torch.Tensor],
    *,
    ask: Callable[..., AnswersEvidence] | None,
) -> AdapterEvidence:
    """Loads base and adapter; compares the adapted model with the expected weights and records answers.

    `is_finite_in` loads the base again for each 16-bit dtype in which the logits are not finite.
    """
    renamed = _rename(tensors, expected, base, config)
    model = load_base(base, expected.rows)
    whole_model = compare_whole_model(evidence.files.folder, model, renamed, config, expected.places)
    evidence = replace(evidence, whole_model=whole_model)
    ids = choose_tokens(model, renamed, config)
    base_logits = logits_of(model, ids)
    try:
        peft_model = attach(model, tensors, config)
    except RefusedError as error:
        return replace(evidence, loaded=LoadedAdapter(problem=str(error)))
    found = run_model(peft_model, ids, {place.module: f"base_model.model.{place.module}" for place in expected.places})
    if ask is not None:
        evidence = replace(evidence, answers=ask(peft_model))
    loaded = LoadedAdapter(
        base_change=largest_difference(found.logits, base_logits),
        largest_logit=found.logits.abs().max().item(),
        finite={"float32": is_finite(found.logits)},
        base_dtype=expected.dtype,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = peft_model.unload()
    try:
        put_expected_weights(plain, renamed, config, expected.places)
    except UnknownLayerError as error:
        return replace(evidence, loaded=replace(loaded, not_computed=str(error)))
    due = run_model(plain, ids, {place.module: place.module for place in expected.places})
    in_16_bits = {dtype: is_finite_in(plain, dtype, ids, base) for dtype in ("bfloat16", "float16")}
    loaded = replace(
        loaded,
        difference=largest_difference(due.logits, found.logits),
        first_different=first_difference(due, found),
        finite={**loaded.finite, **in_16_bits},
    )
    return replace(evidence, loaded=loaded)


def _record_tensors(evidence: AdapterEvidence, base: Path, config: AdapterConfig) -> AdapterEvidence:
    """Compares the tensors' names, shapes, values and training record, one tensor at a time; reads no base weights."""
    files = evidence.files
    try:
        expected = find_expected(base, config, files.headers)
        evidence = replace(evidence, expected=expected, size=_measure_size(files, expected))
    except RefusedError as error:
        evidence = replace(evidence, refusal=str(error))
    if files.damage or files.missing:
        return evidence
    if evidence.expected and files.headers:
        evidence = replace(evidence, differences=_find_differences(evidence.expected, files, base, config))
    if not files.headers or any(header.dtype not in READABLE for header in files.headers.values()):
        return evidence
    try:
        pairs = measure_pairs(files.headers, evidence.expected, config) if evidence.expected else None
        return replace(
            evidence,
            values=measure(files.headers),
            pairs=pairs,
            contradictions=_compare_record(files.folder, config, StoredTensors(files.headers)),
        )
    except UnreadableError as error:
        return replace(evidence, files=replace(files, damage=f"a file of tensors cannot be read ({error})"))


def _measure_size(files: AdapterFiles, expected: ExpectedTensors) -> Size:
    bundle = sum(path.stat().st_size for path in files.folder.rglob("*") if path.is_file())
    numbers = sum(math.prod(header.shape) for header in files.headers.values())
    return Size(sum(path.stat().st_size for path in files.weights), bundle, expected.parameters + numbers)


def _find_differences(
    expected: ExpectedTensors, files: AdapterFiles, base: Path, config: AdapterConfig
) -> tuple[KeyDifference, ...]:
    """Finds differences; if the installed peft accepts the names, keeps only those that other versions reject."""
    found = find_differences(for_each_expert(expected, files.shapes, config), files.shapes, config)
    lacks_whole = any(each.pattern == "whole" for each in found)
    if not found or lacks_whole or not peft_accepts(files.headers, base, config, expected.rows):
        return found
    return tuple(replace(each, pattern="taken name") for each in found if each.pattern == "adapter name")


def _compare_record(folder: Path, config: AdapterConfig, tensors: Mapping[str, torch.Tensor]) -> tuple[str, ...] | None:
    """Describes how tensors and configuration differ from their training record; None without a record."""
    path = folder / RECORD
    if not is_file(path):
        return None
    try:
        written = Record.from_json(plain_bytes(path), where=path.name)
    except (AdapterError, UnreadableError):
        return None
    found = []
    if written.fingerprints.get("adapter") != fingerprint_adapter(tensors):
        found.append("the tensors differ from the trained ones")
    for name, value in (("rank", config.rank), ("alpha", config.alpha)):
        trained = written.settings.get(name)
        if isinstance(trained, int | float) and trained != value:
            found.append(f"{name} was {trained:g} in training, but is {value:g} in the configuration")
    return tuple(found)


def _rename(
    tensors: Mapping[str, torch.Tensor], expected: ExpectedTensors, base: Path, config: AdapterConfig
) -> Mapping[str, torch.Tensor]:
    """Returns the tensors under the names that the installed transformers uses."""
    if tensors.keys() >= expected.required.keys():
        return tensors
    return as_loaded(tensors, put_adapter(empty_base(base), config))
