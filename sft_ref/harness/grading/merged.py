"""The verdict on a merged model: whether base and adapter are in it."""

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
    rerun = rerun_command(called, {"adapter": adapter, "base": base})
    verdict = judge_observed(evidence, called, rerun=rerun, only=only, save_evidence=save_evidence, report=report)
    return replace(verdict, seconds=time.perf_counter() - began)
