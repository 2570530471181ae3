"""Grades a GGUF file: whether its tokenizer, chat template and end tokens are those of the base."""

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
    """Grades a GGUF file by its metadata and returns the verdict.

    Args:
        file: path of the GGUF file.
        called: the target's name as the user typed it.
        base: name or folder of the base model, or a folder with its tokenizer only.
        only: ids of the checks to run; empty runs all.
        save_evidence: file to write the evidence to; None writes none.
        report: callback for the id and outcome of each check as it finishes.

    Raises:
        SubmissionError: the file cannot be read, or no base is given.
        BaseModelError: the base model is not available, or has no tokenizer.
        OutputError: the evidence cannot be written.
    """
    began = time.perf_counter()
    evidence = record(file, base=base)
    rerun = rerun_command(called, {"base": base})
    verdict = judge_observed(evidence, called, rerun=rerun, only=only, save_evidence=save_evidence, report=report)
    return replace(verdict, seconds=time.perf_counter() - began)
