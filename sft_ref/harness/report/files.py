"""Verdicts as other programs read them: JSON, there and back, and a table. `docs/results.md` is the schema."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sft_ref.harness.check import Check, Level, Outcome, Result
from sft_ref.harness.graded import Grade, Ungraded
from sft_ref.harness.verdict import Coverage, Standing, Suspect, Verdict
from sft_ref.plain import harmless

from .whole import write_whole

COLUMNS = (
    "path", "verdict", "examined", "stages", "cause", "remedy", "answer_rate", "accuracy", "size", "sandboxed",
    "seconds", "notes", "error",
)  # fmt: skip
"""Of the CSV file."""


def as_json(grade: Grade) -> dict[str, Any]:
    """One submission as an object that strict JSON can hold: no NaN, no infinity, no half characters."""
    if isinstance(grade, Ungraded):
        return {"path": _text(grade.path), "verdict": None, "error": _text(grade.reason), "exit_code": grade.code}
    return {
        "path": _text(grade.path),
        "verdict": str(grade.standing),
        "stages": list(grade.stages),
        "cause": _text(grade.cause),
        "remedy": _text(grade.remedy),
        "coverage": [
            {"stage": each.stage, "shown": each.shown, "reason": _text(each.reason)} for each in grade.coverage
        ],
        "examined": _text(grade.examined),
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
        "case": _text(suspect.case),
        "remedy": _text(suspect.remedy),
        "standing": str(suspect.standing),
        "check": suspect.check,
    }


def _result_as_json(result: Result) -> dict[str, Any]:
    return {
        "id": result.check.id,
        "stage": result.check.stage,
        "level": str(result.check.level),
        "statement": result.check.statement,
        "outcome": str(result.outcome),
        "seen": _text(result.seen),
        "allowed": _text(result.allowed),
        "case": _text(result.case),
        "why": result.check.why,
        "remedy": result.check.remedy,
        "repeat": _text(result.repeat),
        "seconds": _number(result.seconds),
        "survived": result.survived,
    }


def _text(text: str) -> str:
    """Without lone surrogates, which many readers of JSON refuse."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _number(value: float | None) -> float | None:
    return round(float(value), 4) if value is not None and math.isfinite(value) else None


def from_json(row: Mapping[str, Any]) -> Grade:
    """What `as_json` made an object of. Its checks can be read, not run.

    Raises:
        KeyError, TypeError, ValueError: the object is none of ours.
    """
    if row["verdict"] is None:
        return Ungraded(row["path"], row["error"], row["exit_code"])
    return Verdict(
        path=row["path"],
        standing=Standing(row["verdict"]),
        suspects=tuple(_suspect_from_json(each) for each in row["suspects"]),
        cause=row["cause"],
        cleared=dict(row["cleared"]),
        notes=tuple(row["notes"]),
        sandboxed=row["sandboxed"],
        seconds=row["seconds"],
        results=tuple(_result_from_json(each) for each in row["checks"]),
        answer_rate=row["answer_rate"],
        accuracy=row["accuracy"],
        coverage=tuple(Coverage(each["stage"], each["shown"], each["reason"]) for each in row["coverage"]),
        size=row["size"],
        errors=tuple(row["errors"]),
    )


def _suspect_from_json(row: Mapping[str, Any]) -> Suspect:
    standing = Standing(row["standing"])
    return Suspect(
        row["stage"], row["cause"], tuple(row["evidence"]), row["remedy"], row["case"], standing, row["check"]
    )


def _result_from_json(row: Mapping[str, Any]) -> Result:
    check = Check(row["id"], row["statement"], Level(row["level"]), row["why"], row["remedy"], (), "", _cannot_run)
    outcome, words = Outcome(row["outcome"]), (row["seen"], row["allowed"], row["case"], row["repeat"])
    return Result(check, outcome, row["seconds"], *words, survived=row["survived"])


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
    write_whole(path, to_text([as_json(grade) for grade in grades]))


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
    write_whole(path, file.getvalue())


def _cell(value: object) -> str:
    """As text that no spreadsheet takes for a formula."""
    if isinstance(value, str | list):
        text = harmless(value if isinstance(value, str) else "; ".join(value))
        return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
    return "" if value is None else str(value)
