"""Results as other programs read them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from sft_ref.adapter import disk_errors
from sft_ref.harness.check import Result


def write_json(results: Iterable[Result], path: Path) -> None:
    """A list with one object a check: id, stage, level, statement, outcome, seconds, seen, allowed, case, repeat.

    Raises:
        OutputError: the file cannot be written.
    """
    rows = [
        {
            "id": result.check.id,
            "stage": result.check.stage,
            "level": result.check.level,
            "statement": result.check.statement,
            "outcome": result.outcome,
            "seconds": round(result.seconds, 3),
            "seen": result.seen,
            "allowed": result.allowed,
            "case": result.case,
            "repeat": result.repeat,
        }
        for result in results
    ]
    with disk_errors(path):
        path.write_text(json.dumps(rows, indent=1), encoding="utf-8")
