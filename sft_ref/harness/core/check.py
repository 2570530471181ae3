"""What a check is, and what can come of it. Knows no implementation and runs nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from .stages import STAGES


@runtime_checkable
class Observed(Protocol):
    """What checks are handed that must know which of them is running; frozen evidence need not."""

    stage: str
    """Of the check that is running; the runner sets it."""


class Level(StrEnum):
    """Whom a statement binds."""

    UNIVERSAL = "universal"
    """Every sound implementation passes; one that fails is broken."""
    CONTRACT = "contract"
    """The reference, and whoever claims its contract; others drift from it."""


class Outcome(StrEnum):
    """What came of a planned check; exactly one for each."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    ADVICE = "advice"
    BLOCKED = "blocked"
    SKIPPED = "skipped"
    ERROR = "error"


@dataclass(frozen=True)
class Check:
    """One statement about an implementation.

    Attributes:
        id: prefix of its stage and three digits, never used again for another statement.
        statement: what must be true.
        level: whom it binds.
        why: what goes wrong where it is false.
        remedy: what to do then.
        depends_on: ids of the checks without which this one means nothing.
        source: where the bug was seen, as a row of the catalogue or an issue.
        run: raises `Failure` where the statement is false; a text that it returns is advice.
        core: whether its stage counts as examined only where this check was decided.
    """

    id: str
    statement: str
    level: Level
    why: str
    remedy: str
    depends_on: tuple[str, ...]
    source: str
    run: Callable[[Any], str | None]
    core: bool = False

    @property
    def stage(self) -> str:
        """The stage that the id's prefix names."""
        return STAGES[self.id[:3]]


def check(
    id: str,  # noqa: A002  # the field's name
    statement: str,
    *,
    why: str,
    remedy: str,
    level: Level = Level.UNIVERSAL,
    depends_on: tuple[str, ...] = (),
    source: str = "",
    core: bool = False,
) -> Callable[[Callable[[Any], str | None]], Check]:
    """Makes a function a check; the module's `CHECKS` then lists it."""
    if id[:3] not in STAGES or not (id[3] == "-" and id[4:].isdigit() and len(id) == len("PRM-001")):
        raise ValueError(f"check id {id!r}: give one of {', '.join(STAGES)}, a dash and three digits")
    return lambda run: Check(id, statement, level, why, remedy, depends_on, source, run, core)


def in_order(checks: Iterable[Check]) -> tuple[Check, ...]:
    """Checks by stage and number.

    Raises:
        ValueError: two share an id, or one depends on a check that is not there or comes later.
    """
    order = list(STAGES)
    found = sorted(checks, key=lambda c: (order.index(c.id[:3]), c.id))
    seen: set[str] = set()
    for each in found:
        if each.id in seen:
            raise ValueError(f"check {each.id} is declared twice; give the new one a number of its own")
        if missing := set(each.depends_on) - seen:
            raise ValueError(f"check {each.id} depends on {', '.join(sorted(missing))}, which does not come before it")
        seen.add(each.id)
    return tuple(found)


@dataclass(frozen=True)
class Result:
    """What came of one check.

    Attributes:
        observed, expected, example: of a failure; of other outcomes `observed` holds the reason.
        repeat: the command that runs it again.
        survivable: of a failure, whether good answers to fresh questions show that it loses nothing.
        survived: whether they do, which the verdict decides: it is drift then.
    """

    check: Check
    outcome: Outcome
    seconds: float
    observed: str = ""
    expected: str = ""
    example: str = ""
    repeat: str = ""
    survivable: bool = False
    survived: bool = False

    @property
    def breaks(self) -> bool:
        """Whether it is a failure that loses answers, or may: of a check that binds everybody, and not survived."""
        return self.outcome is Outcome.FAIL and self.check.level is Level.UNIVERSAL and not self.survived
