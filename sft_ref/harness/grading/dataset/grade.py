"""Records a data set, and grades it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sft_ref.errors import SubmissionError
from sft_ref.harness.core.verdict import Verdict
from sft_ref.harness.evidence.dataset.rows import Labels
from sft_ref.harness.grading.observed import Report, judge_observed
from sft_ref.harness.grading.rerun import rerun_command
from sft_ref.harness.recorders.dataset.recorder import record


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
    """Grades a data set and returns the verdict.

    Args:
        path: path of the file, or of a folder saved by `datasets`; it is not changed.
        called: the target's name as the user typed it.
        base: base model whose tokenizer, chat template and generation_config are used.
        prompt: format of the training texts, with ``{question}`` and ``{answer}``; None if not given.
        chat_template: "tokenizer" or the path of a file; None if not given.
        labels: the supervised tokens; None supervises the answer.
        max_length: number of tokens that a text is truncated to; None truncates nothing.
        only: ids of the checks to run; empty runs all.
        save_evidence: file to write the evidence to; None writes none.
        report: callback for the id and outcome of each check as it finishes.

    Raises:
        SubmissionError: no base is given, or the options contradict each other.
        DataError: a row cannot be read, or cannot be written in this format.
        BaseModelError: the base model is not available.
        OutputError: the evidence cannot be written.
    """
    if base is None:
        raise SubmissionError(f"{called}: is a data set; give --base, whose tokenizer writes its texts")
    began = time.perf_counter()
    labels = labels or "completion"
    evidence = record(path, base=base, labels=labels, prompt=prompt, chat_template=chat_template, max_length=max_length)
    options = {"prompt": prompt, "chat-template": chat_template, "labels": labels, "max-length": max_length}
    rerun = rerun_command(called, {"base": base, **options})
    verdict = judge_observed(evidence, called, rerun=rerun, only=only, save_evidence=save_evidence, report=report)
    return replace(verdict, seconds=time.perf_counter() - began)
