"""The checks as callables, for the test suite of an implementation. Knows no test runner.

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
from pathlib import Path

from sft_ref.harness.checks.in_process import CHECKS
from sft_ref.harness.core.check import Check, Outcome, Result
from sft_ref.harness.core.implementation import Implementation
from sft_ref.harness.core.runner import plan, run
from sft_ref.harness.recorders.in_process.context import Context
from sft_ref.harness.recorders.in_process.reference import reference_run_of, train_reference


class Advice(UserWarning):
    """The advice of a check that passed."""


class _SharedContext:
    """The context and outcomes that the checks of one implementation share; it is trained once, on first use."""

    def __init__(self, implementation: Implementation) -> None:
        self.implementation = implementation
        self.outcomes: dict[str, Outcome] = {}

    @functools.cached_property
    def context(self) -> Context:
        folder = Path(tempfile.mkdtemp(prefix="sft_ref_"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        (folder / "own").mkdir()
        return Context(
            self.implementation, folder / "own", reference_run=lambda: reference_run_of(train_reference(folder))
        )


class BoundCheck:
    """A check of one implementation; its `str` is the check's id."""

    def __init__(self, check: Check, shared: _SharedContext) -> None:
        self.check, self._shared = check, shared

    def __str__(self) -> str:
        return self.check.id

    def __call__(self) -> None:
        """Runs the check.

        Raises:
            AssertionError, unittest.SkipTest, RuntimeError: as `raise_or_warn`.
        """
        outcomes = self._shared.outcomes
        passed = (Outcome.PASS, Outcome.ADVICE)
        if blockers := [name for name in self.check.depends_on if outcomes.get(name, Outcome.PASS) not in passed]:
            outcomes[self.check.id] = Outcome.BLOCKED
            raise unittest.SkipTest(f"blocked: {', '.join(blockers)} did not pass")
        [result] = run([self.check], self._shared.context)
        outcomes[self.check.id] = result.outcome
        raise_or_warn(result)


def raise_or_warn(result: Result) -> None:
    """Turns a result into what a test runner understands; a check that passed without advice does nothing.

    Raises:
        AssertionError: the check failed; the message says what was observed and expected, why, and the remedy.
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


def checks_for(implementation: Implementation) -> list[BoundCheck]:
    """The checks that apply to an implementation, as callables, in order.

    They share one training, which starts when the first of them needs it. Each can be called alone.
    """
    shared = _SharedContext(implementation)
    return [BoundCheck(each, shared) for each in plan(CHECKS, claims_contract=implementation.claims_contract)]
