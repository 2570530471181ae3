"""The verdict on an adapter folder: find its base, record the folder, run the checks, conclude."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from sft_ref.errors import SubmissionError
from sft_ref.harness.checks.adapter import CHECKS
from sft_ref.harness.core.check import Check, Outcome, Result
from sft_ref.harness.core.runner import plan, run
from sft_ref.harness.core.stages import ADAPTER_STAGES
from sft_ref.harness.core.verdict import Coverage, Verdict
from sft_ref.harness.instruments.sizes import UNLIMITED, SizeLimits
from sft_ref.harness.recorders.folder.answers import AnswersEvidence, check_prompt, examine, read_rows
from sft_ref.harness.recorders.folder.evidence import Evidence
from sft_ref.harness.recorders.folder.files import find_files, named_adapters
from sft_ref.harness.recorders.folder.recorder import Examine, record
from sft_ref.harness.verdict.diagnosis import error_of, verdict_of
from sft_ref.io.lora_config import base_of, read_table, why_not_judged
from sft_ref.io.reading import UnreadableError
from sft_ref.reference.models import find_base

from .rerun import rerun_command

_HOW = "not sandboxed: nothing of the folder is executed"


def grade_adapter(
    folder: Path,
    called: str,
    *,
    base: str | None,
    prompt: str | None,
    data: Path | None = None,
    only: Sequence[str] = (),
    sizes: SizeLimits = UNLIMITED,
    report: Callable[[str], None] = lambda text: None,
) -> Verdict:
    """The verdict on an adapter folder.

    Args:
        folder: with adapter_config.json and its tensors; not changed.
        called: the name by which it was asked for.
        base: of the adapter; None takes the one that it names.
        prompt: how its texts are written, with ``{question}`` and ``{answer}`` in it; None where that is not known.
        data: rows of questions and answers; None where there are none.
        only: ids of checks, and none else.
        sizes: limits of size; they bind only where they are given.
        report: called with the id and outcome of each check as it ends.

    Raises:
        SubmissionError: the prompt lacks question or answer, or neither --base nor the configuration names a base.
        BaseModelError: the base is not at hand.
    """
    from sft_ref.harness.checks.registry import resolve_ids  # which lists the checks of this package

    asking = _examiner(prompt, data)
    began = time.perf_counter()
    only = resolve_ids(only)
    planned = plan(CHECKS, claims_contract=True, only=only)
    notes = list(_notes_on_names(folder))
    try:
        table = read_table(folder)
    except UnreadableError as error:
        evidence = Evidence(find_files(folder), config_problem=str(error))
    else:
        if reason := why_not_judged(table):
            return _not_judged(called, planned, reason, notes, began)
        named = base or base_of(table)
        if named is None:
            raise SubmissionError(f"{folder.name}: its configuration names no base; give --base")
        place = find_base(named, fetch=base is not None)  # nothing is fetched that only the configuration names
        evidence = record(folder, table, place, limits=sizes, examine=asking)
        notes += [f"a bare adapter over {named}", *_notes_on(evidence)]
    if asking and evidence.answers is None:
        evidence.answers = AnswersEvidence("the adapter is not loaded")
    again = rerun_command(called, {"base": base, "prompt": prompt, "data": data, "limit": sizes.words})
    results = []
    for result in run(planned, evidence, rerun=again):
        results.append(result)
        report(f"{result.check.id} {result.outcome}")
    size, errors = "", list[str]()
    try:
        size = str(evidence.size) if evidence.size else ""
    except Exception as error:  # noqa: BLE001  # the verdict stands without it
        errors.append(error_of("measuring its size", error))
    verdict = verdict_of(results, called, stages=ADAPTER_STAGES, notes=(_HOW, *notes), errors=errors)
    return replace(verdict, size=size, seconds=time.perf_counter() - began)


def _not_judged(called: str, planned: Iterable[Check], reason: str, notes: Iterable[str], began: float) -> Verdict:
    """The verdict on what is no LoRA that is understood here: nothing is accused, and nothing is shown."""
    results = [Result(each, Outcome.SKIPPED, 0.0, observed=f"not judged: {reason}") for each in planned]
    coverage = tuple(Coverage(stage, examined=False, reason=f"not judged: {reason}") for stage in ADAPTER_STAGES)
    said = f"not judged: {reason}: only LoRA for causal language models is understood"
    verdict = verdict_of(results, called, stages=ADAPTER_STAGES, notes=(_HOW, *notes, said))
    return replace(verdict, coverage=coverage, seconds=time.perf_counter() - began)


def _examiner(prompt: str | None, data: Path | None) -> Examine | None:
    """What asks the loaded model, where there is anything to ask it.

    Raises:
        DataError: the rows cannot be read.
        SubmissionError: the prompt lacks question or answer.
    """
    if prompt is not None:
        check_prompt(prompt)
    if data is not None:
        read_rows(data)  # before anything is loaded
    if prompt is None and data is None:
        return None
    return lambda model, tokenizer, template: examine(
        model, tokenizer, prompt=prompt, data=data, chat_template=template
    )


def _notes_on_names(folder: Path) -> Iterable[str]:
    if others := named_adapters(folder):
        yield (
            f"graded is the adapter at the top of the folder; it also holds {', '.join(others)}, not graded:"
            f" give {folder.name}/{others[0]} to grade it"
        )


def _notes_on(evidence: Evidence) -> Iterable[str]:
    tokens, expected = evidence.tokens, evidence.expected
    if tokens is not None and tokens.is_own:
        yield "its own tokenizer and chat template are used before the base's"
    if tokens is not None and tokens.problem:
        yield f"the tokenizer beside it cannot be loaded ({tokens.problem}): the base's is used"
    if expected is not None and expected.grown != expected.rows:
        yield f"the vocabulary is resized from {expected.rows} to {expected.grown} tokens, as its file is"
