"""Checks of the stage parse for submissions only: answers that do not occur in the data."""

from __future__ import annotations

from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Blocked, Failure, Unavailable
from sft_ref.harness.evidence import Evidence
from sft_ref.harness.evidence.submission.scripted_results import completed_scripts, fault_of_generation, is_number


@check(
    "PRS-103",
    "The parser keeps the sign of negative numbers",
    level=Level.CONTRACT,
    why="The data has no negative answers, but a temperature may be one.",
    remedy="Let the parser accept a sign.",
    depends_on=("PRS-001",),
)
def signs_are_kept(evidence: Evidence) -> None:
    """PRS-103: Scripts one negative number."""
    for run in completed_scripts(evidence, "negative"):
        values = run.answers.values or ()
        if len(values) != len(run.lines):
            raise Unavailable("no answer came back when the script had a negative number")
        for place, (line, value) in enumerate(zip(run.lines, values, strict=True)):
            if fault_of_generation(evidence, run, place):
                raise Blocked("the negative number did not reach the parser")
            if not is_number(value, line.numeral):
                raise Failure(f"the parser returns {value}", line.numeral, line.question)
