"""Defines checks and their results; independent of any implementation, and runs nothing."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from types import ModuleType

from .findings import NotRecorded, Unavailable
from .stages import STAGES

WHOLE = "evidence"
"""Name of the check parameter that receives the whole evidence."""


PRECISION = "precision"
CLAIMS = (PRECISION,)
"""Parts of the contract that an implementation can claim separately. ``precision``: the loaded model has the dtypes,
values and logits of training."""


class Level(StrEnum):
    """The implementations that a check applies to: all (universal), or those that claim the contract (contract)."""

    UNIVERSAL = "universal"
    """Applies to all implementations; a failure makes the verdict broken."""
    CONTRACT = "contract"
    """Applies to the reference and to implementations that claim its contract; a failure is drift."""


class Outcome(StrEnum):
    """The outcome of a planned check; every planned check has exactly one."""

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
        id: prefix of the stage, a dash and three digits; an id is never reused for another statement.
        statement: the condition that must hold.
        level: the implementations that the check applies to.
        why: the consequence if the statement is false.
        remedy: the fix if the statement is false.
        depends_on: ids of the checks that must pass before this one is meaningful.
        source: the bug report, as a row of the catalogue or an issue.
        run: function that raises `Failure` if the statement is false; a returned string is advice. Each parameter is
            a part of the evidence, or the whole evidence (`WHOLE`).
        core: whether the stage counts as examined only if this check passed or failed.
        aliases: older ids of the same stage that still name this check.
        claim: the part of the contract that a contract check belongs to (`CLAIMS`); empty for the rest of the contract.
    """

    id: str
    statement: str
    level: Level
    why: str
    remedy: str
    depends_on: tuple[str, ...]
    source: str
    run: Callable[..., str | None]
    core: bool = False
    aliases: tuple[str, ...] = ()
    claim: str = ""

    @property
    def stage(self) -> str:
        """The stage named by the prefix of the id."""
        return STAGES[self.id[:3]]

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the parts of the evidence that the check reads; empty if it receives the whole evidence."""
        parameters = inspect.signature(self.run).parameters.values()
        named = [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
        return tuple(name for name in named if name != WHOLE)

    def __call__(self, evidence: object) -> str | None:
        """Runs the check on the parts of the evidence that it needs.

        Raises:
            Failure: the statement is false.
            Unavailable: a part was not observed.
            BaseException: the exception that ended the recording of a part.
        """
        if not self.needs:
            return self.run(evidence)
        parts = {name: getattr(evidence, name, None) for name in self.needs}
        for part in parts.values():
            if isinstance(part, NotRecorded):
                part.raise_in(self.stage)
        if missing := [name for name, part in parts.items() if part is None]:
            raise Unavailable(f"{', '.join(missing)}: not observed for this kind of target")
        return self.run(**parts)


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
    aliases: tuple[str, ...] = (),
    claim: str = "",
) -> Callable[[Callable[..., str | None]], Check]:
    """Turns a function into a `Check`, which `checks_in` finds in the function's module."""
    for name in (id, *aliases):
        if name[:3] not in STAGES or not (name[3] == "-" and name[4:].isdigit() and len(name) == len("PRM-001")):
            raise ValueError(f"check id {name!r}: give one of {', '.join(STAGES)}, a dash and three digits")
        if name[:3] != id[:3]:
            raise ValueError(f"check {id}: alias {name} belongs to another stage; give one that begins with {id[:3]}")
    return lambda run: Check(id, statement, level, why, remedy, depends_on, source, run, core, aliases, claim)


def in_order(checks: Iterable[Check]) -> tuple[Check, ...]:
    """Sorts checks by stage and number, each after the checks that it depends on; ignores missing dependencies.

    Raises:
        ValueError: two checks share an id or alias, or a check depends on itself or on a check of a later stage.
    """
    order = list(STAGES)
    found = sorted(checks, key=lambda c: (order.index(c.id[:3]), c.id))
    names: set[str] = set()
    for each in found:
        own = {each.id, *each.aliases}
        if taken := own & names:
            raise ValueError(f"check {min(taken)} is declared twice; give the new one a number of its own")
        names |= own
    by_id = {each.id: each for each in found}
    placed: dict[str, Check] = {}

    def place(each: Check, dependents: tuple[str, ...] = ()) -> None:
        for name in each.depends_on:
            if name in (*dependents, each.id) or order.index(name[:3]) > order.index(each.id[:3]):
                raise ValueError(f"check {each.id} depends on {name}, which does not come before it")
            if name in by_id and name not in placed:
                place(by_id[name], (*dependents, each.id))
        placed.setdefault(each.id, each)

    for each in found:
        place(each)
    return tuple(placed.values())


def checks_in(*modules: ModuleType) -> tuple[Check, ...]:
    """Returns all checks defined in the modules, sorted by stage and number.

    Raises:
        ValueError: as `in_order`.
    """
    return in_order(each for module in modules for each in vars(module).values() if isinstance(each, Check))


@dataclass(frozen=True)
class Result:
    """The result of one check.

    Attributes:
        observed, expected, example: details of a failure; for other outcomes, `observed` is the reason.
        rerun: the command that runs the check again.
        survivable: whether good answers to fresh questions would show that the failure loses no answer.
        survived: whether answers to fresh questions are good, as decided by the verdict; the failure is then drift.
        margin: the largest ratio of a measured value to its limit; None if nothing was measured.
        blocks: whether a result other than a pass blocks the checks that depend on this one.
    """

    check: Check
    outcome: Outcome
    seconds: float
    observed: str = ""
    expected: str = ""
    example: str = ""
    rerun: str = ""
    survivable: bool = False
    survived: bool = False
    margin: float | None = None
    blocks: bool = True

    @property
    def breaks(self) -> bool:
        """Whether this is a failure that may lose answers: the check is universal, and the failure not survived."""
        return self.outcome is Outcome.FAIL and self.check.level is Level.UNIVERSAL and not self.survived
