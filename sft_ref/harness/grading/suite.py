"""Provides the checks as callables for the test suite of an implementation; independent of any test runner.

With pytest, one line turns each into a test::

    @pytest.mark.parametrize("check", checks_for(MyTraining()), ids=str)
    def test_contract(check):
        check()
"""

from __future__ import annotations

import functools
import shutil
import tempfile
import unittest
import warnings
import weakref
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal

from sft_ref.errors import SftRefError
from sft_ref.harness.checks.in_process import CHECKS
from sft_ref.harness.checks.runner import blockers_of, plan_for, run
from sft_ref.harness.core.check import Check, Outcome, Result
from sft_ref.harness.core.implementation import Implementation, TaskRow
from sft_ref.harness.core.judges import Judge
from sft_ref.harness.evidence.in_process.task import Task, conversions, task_of
from sft_ref.harness.recorders.in_process.recorder import Recorder
from sft_ref.harness.recorders.in_process.reference import reference_run_for


class Advice(UserWarning):
    """The advice of a check that passed."""


class _Shared:
    """State shared by the checks of one implementation: its recorder and the results."""

    def __init__(self, implementation: Implementation, task: Task) -> None:
        self.implementation, self.task = implementation, task
        self.results: dict[str, Result] = {}

    @functools.cached_property
    def recorder(self) -> Recorder:
        folder = Path(tempfile.mkdtemp(prefix="sft_ref_"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        (folder / "own").mkdir()
        return Recorder(
            self.implementation,
            folder / "own",
            reference_run=lambda: reference_run_for(self.task, folder),
            task=self.task,
        )


class BoundCheck:
    """A check of one implementation; its `str` is the check's id."""

    def __init__(self, check: Check, shared: _Shared) -> None:
        self.check, self._shared = check, shared

    def __str__(self) -> str:
        return self.check.id

    def __call__(self) -> None:
        """Runs the check.

        Raises:
            AssertionError, unittest.SkipTest, RuntimeError: as for `raise_or_warn`.
        """
        results = self._shared.results
        if blockers := blockers_of(self.check, results):
            results[self.check.id] = Result(self.check, Outcome.BLOCKED, 0.0)
            raise unittest.SkipTest(f"blocked: {', '.join(blockers)} did not pass")
        [result] = run([self.check], self._shared.recorder.record(self.check.needs))
        results[self.check.id] = result
        raise_or_warn(result)


def raise_or_warn(result: Result) -> None:
    """Converts a result to an exception or warning for a test runner; does nothing if the check passed without advice.

    Raises:
        AssertionError: the check failed; the message has the observation, the expectation, the reason and the remedy.
        unittest.SkipTest: the check is not available here, or a check that it depends on did not pass.
        RuntimeError: the check itself broke.
    """
    match result.outcome:
        case Outcome.FAIL:
            raise AssertionError(
                f"{result.check.id}: {result.check.statement}\n  observed {result.observed}"
                f"\n  expected {result.expected}\n  example  {result.example}"
                f"\n  why      {result.check.why}\n  remedy   {result.check.remedy}"
            )
        case Outcome.BLOCKED | Outcome.SKIPPED:
            raise unittest.SkipTest(f"{result.outcome}: {result.observed}")
        case Outcome.ERROR:
            raise RuntimeError(f"{result.check.id} itself broke: {result.observed}")
        case Outcome.ADVICE:
            warnings.warn(f"{result.check.id}: {result.observed}", Advice, stacklevel=3)


def checks_for(
    implementation: Implementation,
    *,
    rows: Sequence[TaskRow] | None = None,
    judge: Judge | Literal["loss"] | None = None,
    claims: Collection[str] | None = None,
) -> list[BoundCheck]:
    """Returns the checks that apply to an implementation, as callables, in order.

    The checks share one training, which starts when the first check needs it. Each check can be called alone.

    Args:
        implementation: object that follows the protocol `Implementation`.
        rows: 32 or more pairs of a question and an answer; the answers are all numbers or all strings. The last quarter
            of the rows, at most 64, is held out. By default, unit conversions.
        judge: for your own `rows`, a function of an answer returned by `parse_answer` and the true answer that returns
            whether the answer is right; or ``"loss"`` to compare only losses of true answers. By default, a number must
            be within 5 %, and a string equal except for case, spaces and a final full stop.
        claims: parts of the contract to check in addition to the universal checks, such as ``("precision",)``; by
            default the claims of the implementation.

    Raises:
        SftRefError: rows, judge or claims are invalid.
    """
    if rows is None and judge is not None:
        raise SftRefError("judge: applies only to your own rows; give rows as well")
    task = conversions() if rows is None else task_of(rows, judge)
    shared = _Shared(implementation, task)
    return [BoundCheck(each, shared) for each in plan_for(implementation, CHECKS, claims=claims)]
