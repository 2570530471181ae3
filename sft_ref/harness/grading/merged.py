"""The verdict on a merged model: whether base and adapter are in it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from sft_ref.errors import SubmissionError
from sft_ref.harness.checks.merged import CHECKS
from sft_ref.harness.checks.registry import resolve_ids
from sft_ref.harness.checks.runner import plan, run_all
from sft_ref.harness.core.stages import MERGED_STAGES
from sft_ref.harness.core.verdict import Verdict
from sft_ref.harness.evidence import storage
from sft_ref.harness.evidence.merged import MergedEvidence
from sft_ref.harness.recorders.merged.recorder import record
from sft_ref.harness.verdict.diagnosis import verdict_of

from .rerun import rerun_command

Report = Callable[[str], None]


def grade_merged(
    folder: Path,
    called: str,
    adapter: Path | None = None,
    *,
    base: str | None = None,
    only: Sequence[str] = (),
    save_evidence: Path | None = None,
    report: Report = lambda text: None,
) -> Verdict:
    """The verdict on the folder of a merged model.

    Args:
        folder: of the model, as transformers writes it; not changed.
        called: the name by which it was asked for.
        adapter: folder of the adapter that was merged.
        base: of the adapter; None takes the one that it names.
        only: ids of checks, and none else.
        save_evidence: file that the evidence is written to; None writes none.
        report: called with the id and outcome of each check as it ends.

    Raises:
        SubmissionError: no adapter is given, or it cannot be judged, or names no base.
        BaseModelError: the base is not at hand.
        OutputError: the evidence cannot be written.
    """
    if adapter is None:
        raise SubmissionError(f"{called}: is a whole model; give --adapter, the adapter that was merged into its base")
    began = time.perf_counter()
    evidence = record(folder, adapter, base=base)
    if save_evidence is not None:
        storage.save(evidence, save_evidence)
    rerun = rerun_command(called, {"adapter": adapter, "base": base})
    verdict = judge_merged(evidence, called, rerun=rerun, only=only, report=report)
    return replace(verdict, seconds=time.perf_counter() - began)


def judge_merged(
    evidence: MergedEvidence, called: str, *, rerun: str, only: Sequence[str] = (), report: Report = lambda text: None
) -> Verdict:
    """Runs the checks on evidence and draws the verdict.

    Args:
        evidence: of a merged model.
        called: the name by which it was asked for.
        rerun: the command that grades the same target again.
        only: ids of checks, and none else.
        report: called with the id and outcome of each check as it ends.
    """
    planned = plan(CHECKS, claims_contract=True, only=resolve_ids(only))
    results = run_all(planned, evidence, rerun=rerun, report=report)
    note = f"a merged model, held against {evidence.base} with the adapter {evidence.adapter}; nothing is executed"
    return verdict_of(results, called, stages=MERGED_STAGES, notes=(note,))
