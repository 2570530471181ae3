"""Writes verdicts as JSON and CSV, and reads them back from JSON. `docs/results.md` is the schema."""

from __future__ import annotations

import csv
import functools
import io
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from sft_ref.console.printable import printable
from sft_ref.harness.core.check import Check, Level, Outcome, Result
from sft_ref.harness.core.grade import Grade, NotGraded
from sft_ref.harness.core.verdict import Coverage, Status, Suspect, Swap, Verdict
from sft_ref.io.atomic_write import write_atomic
from sft_ref.io.reading import Finite, converted
from sft_ref.io.strict_json import strict, to_text

COLUMNS = (
    "path", "verdict", "examined", "stages", "cause", "remedy", "answer_rate", "accuracy", "size", "sandboxed",
    "seconds", "notes", "error",
)  # fmt: skip
"""Columns of the CSV file."""


def as_json(grade: Grade) -> dict[str, Any]:
    """Converts the grade of one target to an object for strict JSON: no NaN, no infinity, no lone surrogates."""
    if isinstance(grade, NotGraded):
        row: dict[str, Any] = {"path": grade.path, "verdict": None, "error": grade.reason, "exit_code": grade.code}
    else:
        row = {
            "path": grade.path,
            "verdict": grade.status,
            "stages": grade.stages,
            "cause": grade.cause,
            "remedy": grade.remedy,
            "coverage": [vars(each) for each in grade.coverage],
            "examined": grade.coverage_text,
            "size": grade.size,
            "cleared": grade.cleared,
            "evidence": [line for suspect in grade.suspects for line in suspect.evidence],
            "suspects": [vars(suspect) for suspect in grade.suspects],
            "notes": grade.notes,
            "errors": grade.errors,
            "sandboxed": grade.sandboxed,
            "seconds": grade.seconds,
            "answer_rate": grade.answer_rate,
            "accuracy": grade.accuracy,
            "losses": grade.losses,
            "swaps": [vars(swap) for swap in grade.swaps],
            "checks": [_result_as_json(result) for result in grade.results],
        }
    found: dict[str, Any] = strict(row, digits=4)
    return found


def _result_as_json(result: Result) -> dict[str, Any]:
    check = result.check
    own = {"id": check.id, "stage": check.stage, "level": check.level, "statement": check.statement}
    own |= {name: value for name, value in vars(result).items() if name not in ("check", "margin", "blocks")}
    return own | {"why": check.why, "remedy": check.remedy}


class _NotGraded(msgspec.Struct):
    path: str
    error: str
    exit_code: int


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

    def to_result(self) -> Result:
        """Converts to a result whose check can be read, but not run."""
        check = _check(self.id, self.statement, self.level, self.why, self.remedy)
        texts = self.observed, self.expected, self.example, self.rerun
        return Result(check, self.outcome, self.seconds, *texts, survived=self.survived)


@functools.lru_cache(maxsize=1024)
def _check(id_: str, statement: str, level: Level, why: str, remedy: str) -> Check:
    """Returns a check that can be read, but not run; shared by all verdicts of a class, to save memory."""
    return Check(id_, statement, level, why, remedy, (), "", _cannot_run)


class _Verdict(msgspec.Struct, rename={"status": "verdict", "results": "checks"}):
    """The fields of `Verdict`."""

    path: str
    status: Status
    suspects: tuple[Suspect, ...]
    cause: str
    cleared: dict[str, str]
    notes: tuple[str, ...]
    sandboxed: bool
    seconds: Finite
    results: list[_Result]
    answer_rate: Finite | None
    accuracy: Finite | None
    coverage: tuple[Coverage, ...]
    size: str
    errors: tuple[str, ...]
    losses: tuple[Finite, ...] = ()
    swaps: tuple[Swap, ...] = ()


def from_json(row: Mapping[str, Any]) -> Grade:
    """Inverts `as_json`; the checks of the result can be read, but not run.

    Raises:
        UnreadableError: the object was not written by `as_json`.
    """
    if row.get("verdict") is None:
        missing = converted(row, _NotGraded)
        return NotGraded(missing.path, missing.error, missing.exit_code)
    found = converted(row, _Verdict)
    fields = msgspec.structs.asdict(found)
    return Verdict(**fields | {"results": tuple(result.to_result() for result in found.results)})


def _cannot_run(_: object) -> str | None:
    raise TypeError("this check was read from a file of results, and cannot be run")


def write_json(grades: Iterable[Grade], path: Path) -> None:
    """Writes a list with one object per target.

    Raises:
        OutputError: the file cannot be written.
    """
    rows = (
        textwrap.indent(to_text(as_json(grade)).rstrip("\n"), " ") for grade in grades
    )  # converted one at a time, since all objects together would fill memory
    text = ",\n".join(rows)
    write_atomic(path, f"[\n{text}\n]\n" if text else "[]\n")


def write_csv(grades: Sequence[Grade], path: Path) -> None:
    """Writes a table with one line per target, for a spreadsheet.

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
    """Converts a value to text that no spreadsheet interprets as a formula."""
    if isinstance(value, str | list):
        text = printable(value if isinstance(value, str) else "; ".join(value))
        return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
    return "" if value is None else str(value)
