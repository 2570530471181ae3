"""Records a data set, runs the checks on the evidence, and draws the verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from sft_ref.errors import SubmissionError
from sft_ref.harness.checks.dataset import CHECKS
from sft_ref.harness.checks.registry import resolve_ids
from sft_ref.harness.checks.runner import plan, run_all
from sft_ref.harness.core.stages import DATASET_STAGES
from sft_ref.harness.core.verdict import Verdict
from sft_ref.harness.evidence import storage
from sft_ref.harness.evidence.dataset.rows import DatasetEvidence, Labels
from sft_ref.harness.grading.rerun import rerun_command
from sft_ref.harness.recorders.dataset.recorder import record
from sft_ref.harness.verdict.diagnosis import verdict_of

Report = Callable[[str], None]


def grade_dataset(
    path: Path,
    called: str,
    *,
    base: str | None,
    prompt: str | None = None,
    chat_template: str | None = None,
    labels: Labels | None = None,
    max_length: int | None = None,
    only: Sequence[str] = (),
    save_evidence: Path | None = None,
    report: Report = lambda text: None,
) -> Verdict:
    """The verdict on a data set.

    Args:
        path: of the file, or of a folder that `datasets` saved; not changed.
        called: the name by which it was asked for.
        base: whose tokenizer, chat template and generation_config are used.
        prompt: how texts are written, with ``{question}`` and ``{answer}`` in it; None where that is not given.
        chat_template: "tokenizer", or the name of a file; None where that is not given.
        labels: which tokens are supervised; None for those of the answer.
        max_length: tokens that a text is truncated to; None truncates nothing.
        only: ids of checks, and none else.
        save_evidence: file that the evidence is written to; None writes none.
        report: called with the id and outcome of each check as it ends.

    Raises:
        SubmissionError: no base is given, or the options do not go together.
        DataError: a row cannot be read, or cannot be written so.
        BaseModelError: the base is not at hand.
        OutputError: the evidence cannot be written.
    """
    if base is None:
        raise SubmissionError(f"{called}: is a data set; give --base, whose tokenizer writes its texts")
    began = time.perf_counter()
    labels = labels or "completion"
    evidence = record(path, base=base, labels=labels, prompt=prompt, chat_template=chat_template, max_length=max_length)
    if save_evidence is not None:
        storage.save(evidence, save_evidence)
    options = {"prompt": prompt, "chat-template": chat_template, "labels": labels, "max-length": max_length}
    rerun = rerun_command(called, {"base": base, **options})
    verdict = judge_dataset(evidence, called, rerun=rerun, only=only, report=report)
    return replace(verdict, seconds=time.perf_counter() - began)


def judge_dataset(
    evidence: DatasetEvidence, called: str, *, rerun: str, only: Sequence[str] = (), report: Report = lambda text: None
) -> Verdict:
    """Runs the checks on evidence and draws the verdict.

    Args:
        evidence: of a data set.
        called: the name by which it was asked for.
        rerun: the command that grades the same target again.
        only: ids of checks, and none else.
        report: called with the id and outcome of each check as it ends.
    """
    planned = plan(CHECKS, claims_contract=True, only=resolve_ids(only))
    results = run_all(planned, evidence, rerun=rerun, report=report)
    return verdict_of(results, called, stages=DATASET_STAGES, notes=_notes_on(evidence))


def _notes_on(evidence: DatasetEvidence) -> Iterator[str]:
    length = f", truncated to {evidence.max_length} tokens" if evidence.max_length is not None else ""
    yield (
        f"a data set, written by {evidence.wording} for {evidence.base}, labels: {evidence.labels}{length}; nothing is"
        " trained or generated"
    )
    if len(evidence.rows) < evidence.total:
        yield f"{len(evidence.rows)} of {evidence.total} rows were looked at, from all parts of the file"
