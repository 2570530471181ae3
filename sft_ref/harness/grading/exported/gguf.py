"""The verdict on a GGUF file: whether its tokenizer, chat template and ends are those of the base."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from sft_ref.harness.checks.gguf import CHECKS
from sft_ref.harness.checks.registry import resolve_ids
from sft_ref.harness.checks.runner import plan, run_all
from sft_ref.harness.core.stages import GGUF_STAGES
from sft_ref.harness.core.verdict import Verdict
from sft_ref.harness.evidence import storage
from sft_ref.harness.evidence.exported.gguf import GgufEvidence
from sft_ref.harness.grading.rerun import rerun_command
from sft_ref.harness.recorders.gguf.recorder import record
from sft_ref.harness.verdict.diagnosis import verdict_of

Report = Callable[[str], None]


def grade_gguf(
    file: Path,
    called: str,
    *,
    base: str | None = None,
    only: Sequence[str] = (),
    save_evidence: Path | None = None,
    report: Report = lambda text: None,
) -> Verdict:
    """The verdict on a GGUF file, from its metadata.

    Args:
        file: that is examined.
        called: the name by which it was asked for.
        base: name or folder of the base, or a folder with its tokenizer alone.
        only: ids of checks, and none else.
        save_evidence: file that the evidence is written to; None writes none.
        report: called with the id and outcome of each check as it ends.

    Raises:
        SubmissionError: the file cannot be read, or no base is given.
        BaseModelError: the base is not at hand, or has no tokenizer.
        OutputError: the evidence cannot be written.
    """
    began = time.perf_counter()
    evidence = record(file, base=base)
    if save_evidence is not None:
        storage.save(evidence, save_evidence)
    verdict = judge_gguf(evidence, called, rerun=rerun_command(called, {"base": base}), only=only, report=report)
    return replace(verdict, seconds=time.perf_counter() - began)


def judge_gguf(
    evidence: GgufEvidence, called: str, *, rerun: str, only: Sequence[str] = (), report: Report = lambda text: None
) -> Verdict:
    """Runs the checks on evidence and draws the verdict.

    Args:
        evidence: of a GGUF file.
        called: the name by which it was asked for.
        rerun: the command that grades the same target again.
        only: ids of checks, and none else.
        report: called with the id and outcome of each check as it ends.
    """
    planned = plan(CHECKS, claims_contract=True, only=resolve_ids(only))
    results = run_all(planned, evidence, rerun=rerun, report=report)
    architecture = f" ({evidence.architecture})" if evidence.architecture else ""
    note = f"a GGUF file{architecture}, its metadata held against the tokenizer of {evidence.base}; no tensor is read"
    return verdict_of(results, called, stages=GGUF_STAGES, notes=(note,))
