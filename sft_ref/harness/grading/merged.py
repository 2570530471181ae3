"""Grades a merged model: whether it contains base and adapter."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sft_ref.errors import SubmissionError
from sft_ref.harness.core.verdict import Verdict
from sft_ref.harness.recorders.merged.recorder import record

from .observed import Report, judge_observed
from .rerun import rerun_command


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
    """Grades the folder of a merged model and returns the verdict.

    Args:
        folder: folder of the model, as saved by transformers; it is not changed.
        called: the target's name as the user typed it.
        adapter: folder of the merged adapter.
        base: base model of the adapter; None takes the one that the adapter names.
        only: ids of the checks to run; empty runs all.
        save_evidence: file to write the evidence to; None writes none.
        report: callback for the id and outcome of each check as it finishes.

    Raises:
        SubmissionError: no adapter is given, the adapter cannot be judged, or it names no base.
        BaseModelError: the base model is not available.
        OutputError: the evidence cannot be written.
    """
    if adapter is None:
        raise SubmissionError(f"{called}: is a whole model; give --adapter, the adapter that was merged into its base")
    began = time.perf_counter()
    evidence = record(folder, adapter, base=base)
    rerun = rerun_command(called, {"adapter": adapter, "base": base})
    verdict = judge_observed(evidence, called, rerun=rerun, only=only, save_evidence=save_evidence, report=report)
    return replace(verdict, seconds=time.perf_counter() - began)
