"""Checks and their results. Knows no implementation, and runs nothing."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from types import ModuleType

from .findings import NotRecorded, Unavailable
from .stages import STAGES

WHOLE = "evidence"
"""Name of the parameter of a check that is handed all that was observed."""


PRECISION = "precision"
CLAIMS = (PRECISION,)
"""Parts of the contract that an implementation can claim alone. ``precision``: what is loaded has the dtypes, values
and logits of training."""


class Level(StrEnum):
    """The implementations that a check applies to."""

    UNIVERSAL = "universal"
    """All implementations; one that fails is broken."""
    CONTRACT = "contract"
    """The reference, and implementations that claim its contract; one that fails drifts."""


class Outcome(StrEnum):
    """The outcome of a planned check; each has exactly one."""

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
        id: prefix of its stage and three digits; an id is never reused for another statement.
        statement: what must be true.
        level: which implementations it applies to.
        why: what goes wrong if it is false.
        remedy: what to do if it is false.
        depends_on: ids of the checks that must pass before this one is meaningful.
        source: where the bug was reported, as a row of the catalogue or an issue.
        run: raises `Failure` if the statement is false; a text that it returns is advice. Each of its parameters is a
            part of the evidence, or all of it (`WHOLE`).
        core: whether its stage counts as examined only if this check was decided.
        aliases: older ids of the same stage that still name this check.
        claim: of a contract check, the part of the contract that it belongs to (`CLAIMS`); empty for the rest of it.
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
        """The stage that the id's prefix names."""
        return STAGES[self.id[:3]]

    @property
    def needs(self) -> tuple[str, ...]:
        """The parts of the evidence that it reads, by name; empty if it is handed all of it."""
        parameters = inspect.signature(self.run).parameters.values()
        named = [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
        return tuple(name for name in named if name != WHOLE)

    def __call__(self, evidence: object) -> str | None:
        """Runs the check on the parts of the evidence that it needs.

        Raises:
            Failure: the statement is false.
            Unavailable: a part was not observed.
            BaseException: what recording a part ended with.
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
    """Turns a function into a check, which `checks_in` finds in its module."""
    for name in (id, *aliases):
        if name[:3] not in STAGES or not (name[3] == "-" and name[4:].isdigit() and len(name) == len("PRM-001")):
            raise ValueError(f"check id {name!r}: give one of {', '.join(STAGES)}, a dash and three digits")
        if name[:3] != id[:3]:
            raise ValueError(f"check {id}: alias {name} belongs to another stage; give one that begins with {id[:3]}")
    return lambda run: Check(id, statement, level, why, remedy, depends_on, source, run, core, aliases, claim)


def in_order(checks: Iterable[Check]) -> tuple[Check, ...]:
    """Checks by stage and number, each behind the checks that it depends on; those that are missing do not matter.

    Raises:
        ValueError: two checks share an id or alias, or one depends on itself or on a check of a later stage.
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
    """All checks that modules define, by stage and number.

    Raises:
        ValueError: as `in_order`.
    """
    return in_order(each for module in modules for each in vars(module).values() if isinstance(each, Check))


@dataclass(frozen=True)
class Result:
    """The result of one check.

    Attributes:
        observed, expected, example: of a failure; for other outcomes `observed` is the reason.
        rerun: the command that runs the check again.
        survivable: of a failure, whether good answers to fresh questions show that it loses nothing.
        survived: whether they do, which the verdict decides: it is drift then.
        margin: the largest share of its limit that a measured value took up; None if nothing was measured.
        blocks: whether checks that depend on it are blocked, where it did not pass.
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
        """Whether it is a failure that may lose answers: of a universal check, and not survived."""
        return self.outcome is Outcome.FAIL and self.check.level is Level.UNIVERSAL and not self.survived
