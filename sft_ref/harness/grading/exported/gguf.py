"""The verdict on a GGUF file: whether its tokenizer, chat template and ends are those of the base."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sft_ref.harness.core.verdict import Verdict
from sft_ref.harness.grading.observed import Report, judge_observed
from sft_ref.harness.grading.rerun import rerun_command
from sft_ref.harness.recorders.gguf.recorder import record


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
    rerun = rerun_command(called, {"base": base})
    verdict = judge_observed(evidence, called, rerun=rerun, only=only, save_evidence=save_evidence, report=report)
    return replace(verdict, seconds=time.perf_counter() - began)
