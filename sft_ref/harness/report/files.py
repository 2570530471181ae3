"""Verdicts as other programs read them: JSON, there and back, and a table. `docs/results.md` is the schema."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from sft_ref.console.plain import harmless
from sft_ref.harness.core.check import Check, Level, Outcome, Result
from sft_ref.harness.core.grade import Grade, NotGraded
from sft_ref.harness.core.verdict import Coverage, Status, Suspect, Verdict
from sft_ref.io.atomic_write import write_atomic
from sft_ref.io.reading import Finite, converted

COLUMNS = (
    "path", "verdict", "examined", "stages", "cause", "remedy", "answer_rate", "accuracy", "size", "sandboxed",
    "seconds", "notes", "error",
)  # fmt: skip
"""Of the CSV file."""


def as_json(grade: Grade) -> dict[str, Any]:
    """One submission as an object that strict JSON can hold: no NaN, no infinity, no half characters."""
    if isinstance(grade, NotGraded):
        return {"path": _text(grade.path), "verdict": None, "error": _text(grade.reason), "exit_code": grade.code}
    return {
        "path": _text(grade.path),
        "verdict": str(grade.status),
        "stages": list(grade.stages),
        "cause": _text(grade.cause),
        "remedy": _text(grade.remedy),
        "coverage": [
            {"stage": each.stage, "examined": each.examined, "reason": _text(each.reason)} for each in grade.coverage
        ],
        "examined": _text(grade.coverage_text),
        "size": _text(grade.size),
        "cleared": {_text(stage): _text(measured) for stage, measured in grade.cleared.items()},
        "evidence": [_text(line) for suspect in grade.suspects for line in suspect.evidence],
        "suspects": [_suspect_as_json(suspect) for suspect in grade.suspects],
        "notes": [_text(note) for note in grade.notes],
        "errors": [_text(error) for error in grade.errors],
        "sandboxed": grade.sandboxed,
        "seconds": _number(grade.seconds),
        "answer_rate": _number(grade.answer_rate),
        "accuracy": _number(grade.accuracy),
        "checks": [_result_as_json(result) for result in grade.results],
    }


def _suspect_as_json(suspect: Suspect) -> dict[str, Any]:
    return {
        "stage": suspect.stage,
        "cause": _text(suspect.cause),
        "evidence": [_text(line) for line in suspect.evidence],
        "example": _text(suspect.example),
        "remedy": _text(suspect.remedy),
        "status": str(suspect.status),
        "check": suspect.check,
    }


def _result_as_json(result: Result) -> dict[str, Any]:
    return {
        "id": result.check.id,
        "stage": result.check.stage,
        "level": str(result.check.level),
        "statement": result.check.statement,
        "outcome": str(result.outcome),
        "observed": _text(result.observed),
        "expected": _text(result.expected),
        "example": _text(result.example),
        "why": result.check.why,
        "remedy": result.check.remedy,
        "rerun": _text(result.rerun),
        "seconds": _number(result.seconds),
        "survived": result.survived,
    }


def _text(text: str) -> str:
    """Without lone surrogates, which many readers of JSON refuse."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _number(value: float | None) -> float | None:
    return round(float(value), 4) if value is not None and math.isfinite(value) else None


class _NotGraded(msgspec.Struct):
    path: str
    error: str
    exit_code: int


class _Suspect(msgspec.Struct):
    stage: str
    cause: str
    evidence: tuple[str, ...]
    example: str
    remedy: str
    status: Status
    check: str


class _Result(msgspec.Struct):
    id: str
    level: Level
    statement: str
    outcome: Outcome
    observed: str
    expected: str
    example: str
    why: str
    remedy: str
    rerun: str
    seconds: Finite
    survived: bool


class _Verdict(msgspec.Struct):
    path: str
    verdict: Status
    cause: str
    coverage: tuple[Coverage, ...]
    size: str
    cleared: dict[str, str]
    suspects: list[_Suspect]
    notes: tuple[str, ...]
    sandboxed: bool
    seconds: Finite
    answer_rate: Finite | None
    accuracy: Finite | None
    errors: tuple[str, ...]
    checks: list[_Result]


def from_json(row: Mapping[str, Any]) -> Grade:
    """What `as_json` made an object of. Its checks can be read, not run.

    Raises:
        UnreadableError: the object is none of ours.
    """
    if row.get("verdict") is None:
        ungraded = converted(row, _NotGraded)
        return NotGraded(ungraded.path, ungraded.error, ungraded.exit_code)
    found = converted(row, _Verdict)
    return Verdict(
        path=found.path,
        status=found.verdict,
        suspects=tuple(
            Suspect(each.stage, each.cause, each.evidence, each.remedy, each.example, each.status, each.check)
            for each in found.suspects
        ),
        cause=found.cause,
        cleared=found.cleared,
        notes=found.notes,
        sandboxed=found.sandboxed,
        seconds=found.seconds,
        results=tuple(map(_to_result, found.checks)),
        answer_rate=found.answer_rate,
        accuracy=found.accuracy,
        coverage=found.coverage,
        size=found.size,
        errors=found.errors,
    )


def _to_result(row: _Result) -> Result:
    check = Check(row.id, row.statement, row.level, row.why, row.remedy, (), "", _cannot_run)
    words = row.observed, row.expected, row.example, row.rerun
    return Result(check, row.outcome, row.seconds, *words, survived=row.survived)


def _cannot_run(_: object) -> str | None:
    raise TypeError("this check was read from a file of results, and cannot be run")


def to_text(rows: object) -> str:
    """Strict JSON.

    Raises:
        ValueError: it holds NaN or infinity.
    """
    return json.dumps(rows, indent=1, allow_nan=False) + "\n"


def write_json(grades: Iterable[Grade], path: Path) -> None:
    """A list, one object a submission.

    Raises:
        OutputError: the file cannot be written.
    """
    write_atomic(path, to_text([as_json(grade) for grade in grades]))


def write_csv(grades: Sequence[Grade], path: Path) -> None:
    """A line a submission, for a spreadsheet.

    Raises:
        OutputError: the file cannot be written.
    """
    file = io.StringIO(newline="")
    table = csv.writer(file)
    table.writerow(COLUMNS)
    for row in map(as_json, grades):
        table.writerow([_cell(row.get(column)) for column in COLUMNS])
    write_atomic(path, file.getvalue())


def _cell(value: object) -> str:
    """As text that no spreadsheet takes for a formula."""
    if isinstance(value, str | list):
        text = harmless(value if isinstance(value, str) else "; ".join(value))
        return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
    return "" if value is None else str(value)
