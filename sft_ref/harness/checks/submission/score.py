"""Checks of the stage score: whether testing completes."""

from __future__ import annotations

from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Unavailable
from sft_ref.harness.evidence import Evidence


@check(
    "SCR-102",
    "Testing completes",
    level=Level.CONTRACT,
    why="Without a test, no fault is noticed.",
    remedy="Fix the line that the traceback names.",
)
def testing_runs(evidence: Evidence) -> str | None:
    """SCR-102: Tests with the adapter folder; only gives advice, since other required arguments are unknown."""
    if not evidence.scores.was_reached:
        raise Unavailable("testing was not reached")
    crash = evidence.scores.crash
    return f"{crash.type}: {crash.message[:200]} in {crash.where}" if crash else None
