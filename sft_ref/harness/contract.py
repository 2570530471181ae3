"""The verdict on an implementation that follows the protocol, by the checks alone, in this process."""

from __future__ import annotations

import shlex
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from sft_ref.errors import SftRefError

from .check import Check, Level, Outcome, Result
from .checks import CHECKS
from .context import Context
from .implementation import Implementation
from .mutation import train_once
from .reference import find_implementation, yardstick_of
from .runner import plan, run
from .stages import STAGES
from .verdict import Standing, Suspect, Verdict
from .yardstick import Yardstick


def choose_checks(ids: Sequence[str]) -> list[Check]:
    """The checks with these ids, in order; all where none is given.

    Raises:
        SftRefError: there is no such check.
    """
    if unknown := set(ids) - {each.id for each in CHECKS}:
        raise SftRefError(f"no check named {', '.join(sorted(unknown))}; `sft-ref checks` lists them")
    return [each for each in CHECKS if not ids or each.id in ids]


def grade_target(
    target: str, *, only: Sequence[str] = (), report: Callable[[str], None] = lambda text: None
) -> Verdict:
    """The verdict on ``reference`` or ``module:object``.

    Args:
        target: see `find_implementation`.
        only: ids of checks, and none else.
        report: told the id and outcome of each check as it ends.

    Raises:
        SftRefError: there is no such implementation or check.
    """
    implementation, chosen = find_implementation(target), choose_checks(only)
    with tempfile.TemporaryDirectory() as folder:
        yardstick = yardstick_of(train_once(Path(folder)))
    planned = [each for each in plan(CHECKS, claims_contract=implementation.claims_contract) if each in chosen]
    verdict = grade_implementation(implementation, target, planned, yardstick, report=report)
    said = (f"only {len(planned)} of {len(CHECKS)} checks were asked for; the others may fail",) if only else ()
    return replace(verdict, notes=(*verdict.notes, *said))


def grade_implementation(
    implementation: Implementation,
    path: str,
    checks: Iterable[Check],
    yardstick: Yardstick,
    *,
    report: Callable[[str], None] = lambda text: None,
) -> Verdict:
    """The verdict on an implementation, called `path`, by planned checks."""
    began = time.perf_counter()
    again = f"sft-ref grade {shlex.quote(path)} --only ".replace("{", "{{").replace("}", "}}") + "{}"
    results = []
    with tempfile.TemporaryDirectory() as folder:
        context = Context(implementation, Path(folder, "own"), yardstick=yardstick)
        for result in run(checks, context, repeat=again):
            results.append(result)
            report(f"{result.check.id} {result.outcome}")
    return conclude(results, path, seconds=time.perf_counter() - began)


def conclude(results: Sequence[Result], path: str, *, seconds: float) -> Verdict:
    """What results say: broken where a universal check fails, drift where only contracts do; a suspect a stage."""
    failed = [result for result in results if result.outcome is Outcome.FAIL]
    suspects = tuple(
        _suspect(stage, found)
        for stage in STAGES.values()
        if (found := [result for result in failed if result.check.stage == stage])
    )
    standings = {suspect.standing for suspect in suspects}
    standing = Standing.BROKEN if Standing.BROKEN in standings else Standing.DRIFT if standings else Standing.SOUND
    broke = [result.check.id for result in results if result.outcome is Outcome.ERROR]
    notes = ["not sandboxed: it ran in the harness's own process"]
    if broke:
        notes.append(f"{', '.join(broke)} broke, which is the harness's fault and is not held against it")
    return Verdict(
        path=path,
        standing=standing,
        suspects=suspects,
        cause=" ".join(
            f"{each.stage}: {each.cause}." for each in sorted(suspects, key=lambda s: s.standing != standing)
        ),
        cleared=_cleared(results),
        notes=tuple(notes),
        seconds=seconds,
        results=tuple(results),
    )


def _suspect(stage: str, failed: Sequence[Result]) -> Suspect:
    """The failures of a stage; the first one that binds everybody names the cause."""
    first = min(failed, key=lambda result: result.check.level is not Level.UNIVERSAL)
    return Suspect(
        stage=stage,
        cause=f"it is not true that {first.check.statement} ({first.check.id})",
        evidence=tuple(f"{result.check.id}: saw {result.seen}; allowed {result.allowed}" for result in failed),
        remedy=first.check.remedy,
        case=first.case,
        standing=Standing.BROKEN if first.check.level is Level.UNIVERSAL else Standing.DRIFT,
    )


def _cleared(results: Sequence[Result]) -> dict[str, str]:
    """The stages of which some checks pass, and none fails, breaks or is blocked."""
    fine = (Outcome.PASS, Outcome.ADVICE, Outcome.SKIPPED)
    cleared = {}
    for stage in STAGES.values():
        own = [result.outcome for result in results if result.check.stage == stage]
        passed = sum(outcome in (Outcome.PASS, Outcome.ADVICE) for outcome in own)
        if passed and all(outcome in fine for outcome in own):
            cleared[stage] = f"{passed} of {len(own)} checks pass"
    return cleared
