"""What came of trying to grade: a verdict, or why there is none. Knows no report and runs nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from .verdict import Status, Verdict

BROKEN = 1
BAD_INPUT = 2
HARNESS_ERROR = 3
NOT_SHOWN = 4
_GRAVITY = (0, NOT_SHOWN, BROKEN, BAD_INPUT, HARNESS_ERROR)
"""Exit codes, the gravest last."""


@dataclass(frozen=True)
class NotGraded:
    """A submission without a verdict.

    Attributes:
        path: what was to be graded, as it was asked for.
        reason: why it was not, one sentence.
        code: `BAD_INPUT`: there is nothing that can be graded; `HARNESS_ERROR`: grading broke, which is never held
            against the submission.
    """

    path: str
    reason: str
    code: int


Grade = Verdict | NotGraded


def exit_code(grades: Iterable[Grade], *, strict: bool = False, require: Collection[str] = ()) -> int:
    """The gravest of the codes of several grades.

    0: sound, or drift (1 where `strict`), with all required stages shown. 4: a required stage is not shown.
    1: broken. 2: bad input. 3: the harness broke.

    Args:
        grades: of one target or many.
        strict: whether drift is 1 as well.
        require: the stages that must be shown; all of the target's kind where none is named.
    """
    return max((_code(grade, strict=strict, require=require) for grade in grades), default=0, key=_GRAVITY.index)


def _code(grade: Grade, *, strict: bool, require: Collection[str]) -> int:
    if isinstance(grade, NotGraded):
        return grade.code
    if grade.has_errors:
        return HARNESS_ERROR
    if grade.status is Status.BROKEN or (strict and grade.status is Status.DRIFT):
        return BROKEN
    required = set(require) or {each.stage for each in grade.coverage}
    return 0 if required and required <= set(grade.examined_stages) else NOT_SHOWN
