"""Writes a verdict as Gradescope's `results.json` (https://gradescope-autograders.readthedocs.io/en/latest/specs/)."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from sft_ref.console.printable import printable
from sft_ref.harness.core.check import Outcome, Result
from sft_ref.harness.core.grade import BAD_INPUT, Grade, NotGraded
from sft_ref.harness.core.verdict import Status, Suspect, Verdict
from sft_ref.io.atomic_write import write_atomic
from sft_ref.io.strict_json import to_text

from .rubric import Rubric
from .terminal import WIDTH, show_grade

_EARNS = {
    Outcome.PASS: "The check passes.",
    Outcome.ADVICE: "The check passes, with advice.",
}


def write_gradescope(grade: Grade, rubric: Rubric, path: Path) -> None:
    """Writes the points of a grade, with reasons.

    After an error of the harness, no file is written and an older one is removed: Gradescope then reports to the staff
    that the autograder failed, instead of giving the student 0 points.

    Raises:
        OutputError: the file cannot be written.
    """
    if isinstance(grade, NotGraded) and grade.code != BAD_INPUT:
        if path.is_file():
            path.unlink()
        return
    write_atomic(path, to_text(as_gradescope(grade, rubric)))


def as_gradescope(grade: Grade, rubric: Rubric) -> dict[str, Any]:
    """Returns the results of one submission; bad input gets 0 points and the reason."""
    tests = list(_tests(grade, rubric)) if isinstance(grade, Verdict) else []
    return {
        "score": round(sum(test["score"] for test in tests), 4),
        "execution_time": round(grade.seconds) if isinstance(grade, Verdict) else 0,
        "output": _report(grade),
        "output_format": "text",
        "test_output_format": "text",
        "test_name_format": "text",
        "visibility": rubric.visibility,
        "stdout_visibility": "hidden",
        "tests": tests,
    }


def _report(grade: Grade) -> str:
    """Renders the terminal report without colours."""
    console = Console(file=io.StringIO(), width=WIDTH, color_system=None, legacy_windows=False)
    with console.capture() as capture:
        show_grade(grade, console)
    return capture.get()


def _tests(verdict: Verdict, rubric: Rubric) -> Iterator[dict[str, Any]]:
    if rubric.verdict:
        score = rubric.verdict.get(verdict.status, 0.0)
        most = max(rubric.verdict.values())
        passed = verdict.status is Status.SOUND
        yield _test("verdict", score, most, f"{verdict.status}. {printable(verdict.cause)}".strip(), passed=passed)
    for stage, points in rubric.stages.items():
        suspects = [suspect for suspect in verdict.suspects if suspect.stage == stage]
        hidden = verdict.status is Status.BROKEN or verdict.errors  # a fault may hide in any stage
        earned = not suspects and stage in (verdict.cleared if hidden else verdict.examined_stages)
        text = "\n\n".join(map(_describe, suspects)) or _describe_unsuspected(verdict, stage)
        yield _test(f"stage: {stage}", points * earned, points, text, passed=earned)
    results = {result.check.id: result for result in verdict.results}
    for name, points in rubric.checks.items():
        if name not in results:
            yield _test(name, 0.0, points, "The check was not run on this submission.", passed=False)
            continue
        result = results[name]
        earned = result.outcome in _EARNS
        text = _EARNS.get(result.outcome, _loss(result))
        yield _test(f"{name}: {printable(result.check.statement)}", points * earned, points, text, passed=earned)


def _loss(result: Result) -> str:
    """Explains why a check earns no points."""
    if result.outcome is Outcome.FAIL:
        return f"{result.outcome}: {printable(result.observed)}; {printable(result.check.remedy)}"
    return f"{result.outcome}: {printable(result.observed)}; a check that did not finish gives no points"


def _describe(suspect: Suspect) -> str:
    lines = [suspect.cause, *suspect.evidence]
    lines += [f"example: {suspect.example}"] if suspect.example else []
    lines += [f"remedy: {suspect.remedy}"] if suspect.remedy else []
    return "\n".join(map(printable, lines))


def _describe_unsuspected(verdict: Verdict, stage: str) -> str:
    if stage in verdict.cleared:
        return f"cleared: {printable(verdict.cleared[stage])}"
    if verdict.status is Status.BROKEN:
        return "Neither at fault nor cleared: a fault in another stage hides this one. Fix that first."
    if stage in verdict.examined_stages:
        return "No fault was found."
    reasons = [each.reason for each in verdict.coverage if each.stage == stage]
    return f"Not examined: {printable(reasons[0])}." if reasons else "Not examined for this kind of target."


def _test(name: str, score: float, most: float, output: str, *, passed: bool) -> dict[str, Any]:
    status = "passed" if passed else "failed"
    return {"name": name, "score": score, "max_score": most, "status": status, "output": output}
