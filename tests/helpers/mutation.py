"""Mutants and controls: implementations whose verdict is known beforehand, and the rows of their scoreboard.

A mutant is the reference with one real bug, planted by patching names in its modules; the harness must catch it and
name its stage. A control is unusual but sound; no check may fail it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

from close_margins import ACCEPTED
from resaving import Resaving

from sft_ref.harness.checks.runner import plan
from sft_ref.harness.core.check import Check, Outcome, Result
from sft_ref.harness.core.implementation import Implementation, TrainingResult
from sft_ref.harness.core.sizes import COURSE
from sft_ref.harness.grading.in_process.in_stages import run_in_stages
from sft_ref.harness.recorders.in_process.recorder import Recorder
from sft_ref.harness.recorders.in_process.reference import Reference, reference_run_of
from sft_ref.harness.recorders.in_process.reference_run import ReferenceRun

FACTOR = 2.0
"""Factor by which a measured value must differ from its limit, up or down, so that no processor changes the result."""


@dataclass(frozen=True)
class Mutant:
    """The reference with one bug.

    Attributes:
        id: row of the catalogue of real bugs, or a name of our own; the file is named after the fault.
        stage: stage of the fault, one of `STAGES`.
        checks: ids of the checks of that stage that must fail; one of them must be the first of all to fail. Empty if
            the mutant was written without knowledge of the checks; then the first to fail must be of its stage.
        fault: the fault in one sentence.
        source: source where such a bug was seen.
        patches: dotted name -> its replacement while the mutant is alive.
        retrain: whether the fault affects the trained adapter; else a sound training is shared.
        resave: whether it affects the saved files; a sound training's tensors are then saved again.
    """

    id: str
    stage: str
    checks: tuple[str, ...]
    fault: str
    source: str
    patches: Mapping[str, object]
    retrain: bool = False
    resave: bool = False

    @contextlib.contextmanager
    def alive(self) -> Iterator[None]:
        """Plants the bug in the reference within its context."""
        with contextlib.ExitStack() as stack:
            for name, replacement in self.patches.items():
                stack.enter_context(mock.patch(name, replacement))
            yield


@dataclass(frozen=True)
class Control:
    """An unusual but sound implementation: its id, its unusual property, and a function that makes it."""

    id: str
    note: str
    make: Callable[[], Implementation]


@dataclass(frozen=True)
class Found:
    """A result that failed, raised an error or was blocked, as text, so that it can pass between processes."""

    id: str
    stage: str
    statement: str
    outcome: Outcome
    observed: str
    expected: str
    margin: float | None = None

    @classmethod
    def of(cls, result: Result) -> Found:
        """Converts a result to text."""
        each = result.check
        return cls(each.id, each.stage, each.statement, result.outcome, result.observed, result.expected, result.margin)


@dataclass(frozen=True)
class Row:
    """A line of the scoreboard.

    Attributes:
        caught: for a mutant, whether each check that it names failed, one of them first of all; if it names none,
            whether any check failed.
        right: for a mutant, whether it was caught at its stage; for a control, whether no check failed.
        found: results that failed or raised an error; for a control, also blocked ones.
        missed: ids of the checks that a mutant names and that did not fail.
        close: checks that a mutant names and that failed, or that passed on a control, by less than `FACTOR`; each with
            the share of its limit.
    """

    id: str
    kind: str
    about: str
    stage: str
    caught: bool
    right: bool
    found: tuple[Found, ...] = field(repr=False)
    missed: tuple[str, ...] = ()
    close: tuple[tuple[str, float], ...] = ()
    seconds: float = 0.0

    @property
    def is_too_close(self) -> bool:
        """Whether any close margin is not listed in `close_margins`."""
        return any((self.id, check) not in ACCEPTED for check, _ in self.close)


def find(folder: Path, name: str) -> list[Any]:
    """Returns the object `name` of every module in a folder, sorted by file name; the files may import one another."""
    if str(folder.resolve()) not in sys.path:
        sys.path.append(str(folder.resolve()))
    found = []
    for path in sorted(folder.glob("[!_]*.py")):
        spec = importlib.util.spec_from_file_location(f"{folder.name}_{path.stem}", path)
        if spec is None or spec.loader is None:
            raise ValueError(f"{path} cannot be imported")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses look up their module
        spec.loader.exec_module(module)
        found.append(getattr(module, name))
    return found


def judge_mutant(mutant: Mutant, checks: Iterable[Check], shared: TrainingResult) -> Row:
    """Runs the contract on a mutant, until a check has failed and all checks that it names have run."""
    began = time.perf_counter()
    found: list[Found] = []
    waiting = set(mutant.checks)
    reference_run = _reference_run_of(shared)  # before the mutant is alive
    with tempfile.TemporaryDirectory() as scratch, mutant.alive():
        trained = None if mutant.retrain or mutant.resave else _copy(shared, Path(scratch))
        implementation = Resaving(shared, mutant.id) if mutant.resave else Reference(name=mutant.id)
        recorder = Recorder(implementation, Path(scratch), trained=trained, reference_run=reference_run, limits=COURSE)
        for result in run_in_stages(plan(checks, claims_contract=True), recorder):
            waiting.discard(result.check.id)
            if result.outcome in (Outcome.FAIL, Outcome.ERROR):
                found.append(Found.of(result))
            if found and not waiting:
                break
    failed = {each.id for each in found if each.outcome is Outcome.FAIL}
    missed = tuple(name for name in mutant.checks if name not in failed)
    close = tuple((r.id, r.margin) for r in found if r.id in mutant.checks and r.margin and 1 <= r.margin < FACTOR)
    broke = len(failed) < len(found)
    caught = bool(found) and (not mutant.checks or found[0].id in mutant.checks) and not missed and not broke
    right = caught and found[0].stage == mutant.stage
    seconds = time.perf_counter() - began
    return Row(mutant.id, "mutant", mutant.fault, mutant.stage, caught, right, tuple(found), missed, close, seconds)


def judge_control(control: Control, checks: Iterable[Check], shared: TrainingResult) -> Row:
    """Runs all checks that apply to a control; `shared` is a sound training of the reference to compare with."""
    began = time.perf_counter()
    implementation = control.make()
    reference_run = _reference_run_of(shared)
    with tempfile.TemporaryDirectory() as scratch:
        planned = plan(checks, claims_contract=implementation.claims_contract)
        recorder = Recorder(implementation, Path(scratch), reference_run=reference_run, limits=COURSE)
        results = list(run_in_stages(planned, recorder))
    found = tuple(Found.of(r) for r in results if r.outcome in (Outcome.FAIL, Outcome.ERROR, Outcome.BLOCKED))
    passed = [r for r in results if r.outcome in (Outcome.PASS, Outcome.ADVICE)]
    close = tuple((r.check.id, r.margin) for r in passed if r.margin and r.margin > 1 / FACTOR)
    seconds = time.perf_counter() - began
    return Row(control.id, "control", control.note, "", bool(found), not found, found, close=close, seconds=seconds)


_REFERENCE_RUNS: dict[Path, ReferenceRun] = {}


def _reference_run_of(shared: TrainingResult) -> ReferenceRun:
    """Returns the reference run, which is made once per process."""
    if shared.folder not in _REFERENCE_RUNS:
        _REFERENCE_RUNS[shared.folder] = reference_run_of(shared)
    return _REFERENCE_RUNS[shared.folder]


def _copy(trained: TrainingResult, scratch: Path) -> TrainingResult:
    return replace(trained, folder=Path(shutil.copytree(trained.folder, scratch / "adapter")))
