"""A fault that answers survive is drift, and only where checks show that they do."""

from dataclasses import replace

import pytest
from graders import result

from sft_ref.harness.core.check import Outcome
from sft_ref.harness.core.verdict import Status
from sft_ref.harness.grading.in_process.contract import answers_survive
from sft_ref.harness.verdict.diagnosis import decide_survival, verdict_of

GOOD = ("TRN-027", "LOD-003", "GEN-014")


@pytest.mark.parametrize("other", [None, *GOOD])
@pytest.mark.parametrize("outcome", [Outcome.SKIPPED, Outcome.BLOCKED, Outcome.ERROR])
def test_a_fault_of_a_step_is_drift_only_where_all_answers_are_shown_to_be_good(
    other: str | None, outcome: Outcome
) -> None:
    fault = replace(result("TRN-012", Outcome.FAIL), survivable=True)
    results = [fault, *(result(name, outcome if name == other else Outcome.PASS) for name in GOOD)]
    verdict = verdict_of(decide_survival(results, answers_survive=answers_survive(results)), "it")
    assert verdict.status is (Status.DRIFT if other is None else Status.BROKEN)


def test_a_fault_that_answers_do_not_survive_is_broken() -> None:
    results = [result("TRN-003", Outcome.FAIL), *(result(name, Outcome.PASS) for name in GOOD)]
    verdict = verdict_of(decide_survival(results, answers_survive=answers_survive(results)), "it")
    assert verdict.status is Status.BROKEN
