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
    options = {"prompt": prompt, "chat-template": chat_template, "labels": labels, "max-length": max_length}
    rerun = rerun_command(called, {"base": base, **options})
    verdict = judge_observed(evidence, called, rerun=rerun, only=only, save_evidence=save_evidence, report=report)
    return replace(verdict, seconds=time.perf_counter() - began)
