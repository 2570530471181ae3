"""The verdict on an implementation that follows the protocol, by the checks alone, in this process."""

from __future__ import annotations

import shlex
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from .check import Check, Result
from .checks import CHECKS
from .context import Context
from .diagnosis import cause_of, cleared_of, coverage_of, notes_of, standing_of, suspects_of
from .implementation import Implementation
from .mutation import train_once
from .reference import find_implementation, yardstick_of
from .registry import choose_checks
from .runner import plan, run
from .verdict import Verdict
from .yardstick import Yardstick


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
    planned = [each for each in plan(CHECKS, claims_contract=implementation.claims_contract) if each in chosen]
    with tempfile.TemporaryDirectory() as folder:
        verdict = grade_implementation(
            implementation, target, planned, lambda: yardstick_of(train_once(Path(folder))), report=report
        )
    said = (f"only {len(planned)} of {len(CHECKS)} checks were asked for; the others may fail",) if only else ()
    return replace(verdict, notes=(*verdict.notes, *said))


def grade_implementation(
    implementation: Implementation,
    path: str,
    checks: Iterable[Check],
    yardstick: Callable[[], Yardstick | None],
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
    """The verdict that results give."""
    suspects, coverage = suspects_of(results), coverage_of(results)
    return Verdict(
        path=path,
        standing=standing_of(suspects, coverage),
        suspects=suspects,
        cause=cause_of(suspects),
        cleared=cleared_of(results),
        notes=("not sandboxed: it ran in the harness's own process", *notes_of(results)),
        seconds=seconds,
        results=tuple(results),
        coverage=coverage,
    )
