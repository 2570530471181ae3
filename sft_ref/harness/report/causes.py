"""Counts the causes found in many submissions; independent of report formats, and runs nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sft_ref.harness.core.grade import Grade
from sft_ref.harness.core.verdict import Suspect, Verdict


@dataclass(frozen=True)
class Cause:
    """A failed check, and the submissions whose cause it names.

    Attributes:
        stage: stage of the check.
        check: id of the check.
        cause: the cause in the first submission; figures in the others may differ.
        paths: paths of the submissions.
    """

    stage: str
    check: str
    cause: str
    paths: tuple[str, ...]


def count_causes(grades: Iterable[Grade]) -> list[Cause]:
    """Returns the causes found in many submissions, one for each check, the most frequent first."""
    first: dict[str, Suspect] = {}
    paths: dict[str, dict[str, None]] = {}
    for grade in grades:
        for suspect in grade.suspects if isinstance(grade, Verdict) else ():
            first.setdefault(suspect.check, suspect)
            paths.setdefault(suspect.check, {})[grade.path] = None
    found = [Cause(each.stage, check, each.cause, tuple(paths[check])) for check, each in first.items()]
    return sorted(found, key=lambda cause: -len(cause.paths))
