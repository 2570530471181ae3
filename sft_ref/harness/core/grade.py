"""Defines the result of a grading: a verdict, or the reason why there is none. Independent of reports; runs nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from .verdict import Status, Verdict

BROKEN = 1
BAD_INPUT = 2
HARNESS_ERROR = 3
NOT_SHOWN = 4
_SEVERITY = (0, NOT_SHOWN, BROKEN, BAD_INPUT, HARNESS_ERROR)
"""Exit codes, the most severe last."""


@dataclass(frozen=True)
class NotGraded:
    """A target without a verdict.

    Attributes:
        path: the target, as the user named it.
        reason: why there is no verdict, one sentence.
        code: exit code: `BAD_INPUT` if there is nothing to grade, `HARNESS_ERROR` if the grading failed through no
            fault of the target.
    """

    path: str
    reason: str
    code: int


Grade = Verdict | NotGraded


def exit_code(grades: Iterable[Grade], *, strict: bool = False, require: Collection[str] = ()) -> int:
    """Returns the most severe exit code of several grades.

    0: sound, or drift (1 if `strict`), and all required stages were examined. 4: a required stage was not examined.
    1: broken. 2: bad input. 3: an error of the harness.

    Args:
        grades: grades of one or more targets.
        strict: whether drift also gives exit code 1.
        require: stages that must be examined; empty requires all stages of the target's kind.
    """
    return max((_code(grade, strict=strict, require=require) for grade in grades), default=0, key=_SEVERITY.index)


def _code(grade: Grade, *, strict: bool, require: Collection[str]) -> int:
    if isinstance(grade, NotGraded):
        return grade.code
    if grade.has_errors:
        return HARNESS_ERROR
    if grade.status is Status.BROKEN or (strict and grade.status is Status.DRIFT):
        return BROKEN
    required = set(require) or {each.stage for each in grade.coverage}
    return 0 if required and required <= set(grade.examined_stages) else NOT_SHOWN
