"""Grades an adapter: records evidence from its folder, runs the checks on the evidence, and returns the verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from sft_ref.harness.checks.adapter import CHECKS
from sft_ref.harness.checks.registry import resolve_ids
from sft_ref.harness.checks.runner import plan, run_all
from sft_ref.harness.core.check import Check, Outcome, Result
from sft_ref.harness.core.sizes import UNLIMITED, SizeLimits
from sft_ref.harness.core.stages import ADAPTER_STAGES
from sft_ref.harness.core.verdict import Coverage, Verdict
from sft_ref.harness.evidence import storage
from sft_ref.harness.evidence.adapter import AdapterEvidence
from sft_ref.harness.recorders.folder.recorder import record
from sft_ref.harness.report.pairs import describe_pairs
from sft_ref.harness.verdict.diagnosis import error_of, verdict_of

from .rerun import rerun_command

_HOW = "not sandboxed: nothing of the folder is executed"

Report = Callable[[str], None]


def grade_adapter(
    folder: Path,
    called: str,
    *,
    base: str | None,
    prompt: str | None,
    chat_template: str | None = None,
    data: Path | None = None,
    judge: str | None = None,
    only: Sequence[str] = (),
    sizes: SizeLimits = UNLIMITED,
    save_evidence: Path | None = None,
    report: Report = lambda text: None,
) -> Verdict:
    """Grades an adapter folder and returns the verdict.

    Args:
        folder: folder with adapter_config.json and the tensors; it is not changed.
        called: the target's name as the user typed it.
        base: base model of the adapter; None takes the one that the adapter names.
        prompt: format of the training texts, with ``{question}`` and ``{answer}``; None if unknown.
        chat_template: "tokenizer" or the path of a file, whose chat template formats the training texts; None if
            unknown.
        data: file with rows of questions and answers; None if there is none.
        judge: ``module:function`` that decides whether an answer is right; None for the default.
        only: ids of the checks to run; empty runs all.
        sizes: size limits; unlimited by default.
        save_evidence: file to write the evidence to; None writes none.
        report: callback for the id and outcome of each check as it finishes.

    Raises:
        SubmissionError: the prompt lacks question or answer, or neither --base nor the configuration names a base.
        DataError: the rows cannot be read.
        BaseModelError: the base model is not available.
        OutputError: the evidence cannot be written.
    """
    began = time.perf_counter()
    planned = plan(CHECKS, claims_contract=True, only=resolve_ids(only))
    evidence = record(folder, base=base, prompt=prompt, chat_template=chat_template, data=data, judge=judge)
    evidence = replace(evidence, limits=sizes)
    if save_evidence is not None:
        storage.save(evidence, save_evidence)
    options = {"prompt": prompt, "chat-template": chat_template, "data": data, "judge": judge, "limit": sizes.words}
    rerun = rerun_command(called, {"base": base, **options})
    verdict = judge_adapter(evidence, called, planned, rerun=rerun, report=report)
    return replace(verdict, seconds=time.perf_counter() - began)


def judge_adapter(
    evidence: AdapterEvidence,
    called: str,
    planned: Iterable[Check],
    *,
    rerun: str,
    report: Report = lambda text: None,
) -> Verdict:
    """Runs the checks on evidence and returns the verdict.

    Args:
        evidence: evidence recorded from an adapter.
        called: the target's name as the user typed it.
        planned: the checks to run.
        rerun: command that grades the same target again.
        report: callback for the id and outcome of each check as it finishes.
    """
    if reason := evidence.not_judged:
        skipped = [Result(each, Outcome.SKIPPED, 0.0, observed=f"not judged: {reason}") for each in planned]
        coverage = tuple(Coverage(stage, examined=False, reason=f"not judged: {reason}") for stage in ADAPTER_STAGES)
        verdict = verdict_of(skipped, called, stages=ADAPTER_STAGES, notes=_notes_on(evidence))
        return replace(verdict, coverage=coverage)
    results = run_all(planned, evidence, rerun=rerun, report=report)
    size, errors = "", list[str]()
    try:
        size = str(evidence.size) if evidence.size else ""
    except Exception as error:  # noqa: BLE001  # the verdict stands without it
        errors.append(error_of("measuring its size", error))
    verdict = verdict_of(results, called, stages=ADAPTER_STAGES, notes=_notes_on(evidence), errors=errors)
    return replace(verdict, size=size)


def _notes_on(evidence: AdapterEvidence) -> Iterable[str]:
    tokenizer, expected = evidence.tokenizer, evidence.expected
    yield _HOW
    if others := evidence.subfolders:
        yield (
            f"the adapter at the top of the folder is graded; the folder also contains {', '.join(others)}, not graded:"
            f" give {evidence.files.folder.name}/{others[0]} to grade it"
        )
    if evidence.not_judged:
        yield f"not judged: {evidence.not_judged}: only LoRA for causal language models is understood"
    if evidence.base:
        yield f"a bare adapter over {evidence.base}"
    if tokenizer is not None and tokenizer.is_own:
        yield "its own tokenizer and chat template are used before the base's"
    if tokenizer is not None and tokenizer.problem:
        yield f"the tokenizer in its folder cannot be loaded ({tokenizer.problem}): the base's is used"
    if evidence.pairs:
        yield describe_pairs(evidence.pairs)
    if evidence.not_loaded:
        yield f"the base is not loaded; headers, and one tensor at a time, are examined instead: {evidence.not_loaded}"
    if expected is not None and expected.rows != expected.base_rows:
        yield f"the vocabulary is resized from {expected.base_rows} to {expected.rows} tokens, as in the adapter's file"
