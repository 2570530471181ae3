"""Grades an implementation of the protocol in this process, by its checks alone."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from sft_ref.errors import SftRefError
from sft_ref.harness.checks.in_process import CHECKS
from sft_ref.harness.checks.registry import resolve_ids
from sft_ref.harness.checks.runner import plan_for
from sft_ref.harness.core.check import Check, Outcome, Result
from sft_ref.harness.core.implementation import Implementation
from sft_ref.harness.core.judges import Judge, find_judge
from sft_ref.harness.core.sizes import UNLIMITED, SizeLimits
from sft_ref.harness.core.verdict import Verdict
from sft_ref.harness.evidence.in_process.task import LOSS, Task, conversions, task_of
from sft_ref.harness.grading.rerun import rerun_command
from sft_ref.harness.recorders.in_process.recorder import Recorder
from sft_ref.harness.recorders.in_process.reference import find_implementation, reference_run_for
from sft_ref.harness.recorders.in_process.reference_run import ReferenceRun
from sft_ref.harness.verdict.diagnosis import decide_survival, error_of, verdict_of
from sft_ref.reference.guards.rows import load_rows

from .in_stages import run_in_stages

_GOOD_ANSWERS = ("TRN-027", "LOD-003", "GEN-014")
"""Checks that together show that no answer is lost: true answers are as likely as after the reference's training, the
loaded model gives them the same likelihood, and generation follows that model."""


def grade_target(
    target: str,
    *,
    data: Path | None = None,
    judge: str | None = None,
    only: Sequence[str] = (),
    sizes: SizeLimits = UNLIMITED,
    report: Callable[[str], None] = lambda text: None,
) -> Verdict:
    """Grades ``reference`` or ``module:object`` and returns the verdict.

    Args:
        target: name of the implementation; see `find_implementation`.
        data: file with the user's rows; unit conversions by default.
        judge: ``module:function`` that decides whether an answer to these rows is right, or ``loss``; None for the
            default.
        only: ids of the checks to run; empty runs all.
        sizes: size limits.
        report: callback for the id and outcome of each check as it finishes.

    Raises:
        SftRefError: there is no such implementation or check, or the rows cannot be used.
    """
    only = resolve_ids(only)
    implementation = find_implementation(target)
    task = conversions() if data is None else task_of(load_rows(data), _judge(judge))
    planned = plan_for(implementation, CHECKS, only=only)
    with tempfile.TemporaryDirectory() as folder:
        return grade_implementation(
            implementation,
            target,
            planned,
            lambda: reference_run_for(task, Path(folder)),
            sizes,
            task=task,
            data=data,
            report=report,
        )


def _judge(name: str | None) -> Judge | str | None:
    return name if name in (None, LOSS) else find_judge(name)


def grade_implementation(
    implementation: Implementation,
    path: str,
    checks: Iterable[Check],
    reference_run: Callable[[], ReferenceRun | None],
    sizes: SizeLimits = UNLIMITED,
    *,
    task: Task | None = None,
    data: Path | None = None,
    report: Callable[[str], None] = lambda text: None,
) -> Verdict:
    """Grades an implementation named `path` by planned checks; `data` is the path of the file with the task's rows."""
    began = time.perf_counter()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(implementation, Path(folder, "own"), reference_run=reference_run, limits=sizes, task=task)
        for result in run_in_stages(
            checks, recorder, rerun=rerun_command("", {"module": path, "data": data, "limit": sizes.words})
        ):
            results.append(result)
            report(f"{result.check.id} {result.outcome}")
        size, errors = _measured(recorder)
    results = decide_survival(results, answers_survive=answers_survive(results))
    how = "it is sft_ref's own code" if path == "reference" else "its code has all rights of the user"
    verdict = verdict_of(results, path, notes=(f"ran in this process, not sandboxed: {how}",), errors=errors)
    return replace(verdict, size=size, seconds=time.perf_counter() - began)


def answers_survive(results: Iterable[Result]) -> bool:
    """Returns whether the checks show that no answer is lost, so that faults of single steps are only drift."""
    passed = {result.check.id for result in results if result.outcome in (Outcome.PASS, Outcome.ADVICE)}
    return passed.issuperset(_GOOD_ANSWERS)


def _measured(recorder: Recorder) -> tuple[str, tuple[str, ...]]:
    """Returns the size in words if training saved a folder, and the errors of measuring the size."""
    try:
        if not (recorder.has("stored") and recorder.part("stored").is_dir()):
            return "", ()
        return f"{recorder.part('size')}, projected onto {recorder.part('target_model')}", ()
    except SftRefError:
        return "", ()
    except Exception as error:  # noqa: BLE001  # the verdict stands without it
        return "", (error_of("measuring its size", error),)
