"""What came of trying to grade: a verdict, or why there is none. Knows no report and runs nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .check import Outcome
from .verdict import Standing, Verdict

BAD_INPUT = 2
HARNESS_ERROR = 3


@dataclass(frozen=True)
class Ungraded:
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


Grade = Verdict | Ungraded


def exit_code(grades: Iterable[Grade], *, strict: bool = False) -> int:
    """The gravest of: 0 sound or drift (1 where `strict`), 1 broken, 2 bad input, 3 harness error."""
    return max((_code(grade, strict=strict) for grade in grades), default=0)


def _code(grade: Grade, *, strict: bool) -> int:
    if isinstance(grade, Ungraded):
        return grade.code
    if any(result.outcome is Outcome.ERROR for result in grade.results):
        return HARNESS_ERROR
    return int(grade.standing is Standing.BROKEN or (strict and grade.standing is Standing.DRIFT))
