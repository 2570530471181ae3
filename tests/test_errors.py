"""What errs earns nothing: an exception in a check, or after them, makes no verdict sound and gives no points."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import build as corpus
import graders
import pytest

from sft_ref.harness.checks import adapter as adapter_checks
from sft_ref.harness.checks import in_process as checks
from sft_ref.harness.checks import submission as submission_checks
from sft_ref.harness.core.check import Check, Level, Outcome, Result
from sft_ref.harness.core.grade import HARNESS_ERROR, exit_code
from sft_ref.harness.core.implementation import Answerer, Batch, TrainingResult
from sft_ref.harness.core.sizes import Size
from sft_ref.harness.core.stages import ADAPTER_STAGES, STAGES, SUBMISSION_STAGES
from sft_ref.harness.core.verdict import Status, Verdict
from sft_ref.harness.grading import folder as adapter_grading
from sft_ref.harness.grading import judge
from sft_ref.harness.grading.cache import ResultCache
from sft_ref.harness.grading.in_process.contract import grade_implementation
from sft_ref.harness.report.gradescope import as_gradescope
from sft_ref.harness.report.rubric import Rubric
from sft_ref.harness.verdict.diagnosis import verdict_of
from sft_ref.reference.data import Row, Score
from sft_ref.reference.settings import Settings

KINDS: dict[str, tuple[tuple[Check, ...], Sequence[str]]] = {
    "implementation": (checks.CHECKS, SUBMISSION_STAGES),
    "submission": (submission_checks.CHECKS, SUBMISSION_STAGES),
    "adapter": (adapter_checks.CHECKS, ADAPTER_STAGES),
}
EVERY = [(kind, each) for kind, (planned, _) in KINDS.items() for each in planned]


def rubric(planned: Sequence[Check]) -> Rubric:
    """Points for everything that there can be points for."""
    verdict = {"sound": 50.0, "drift": 30.0}
    return Rubric(verdict, dict.fromkeys(STAGES.values(), 10.0), {each.id: 1.0 for each in planned}, "visible")


def points(verdict: Verdict) -> dict[str, float]:
    tests = as_gradescope(verdict, rubric([result.check for result in verdict.results]))["tests"]
    return {test["name"].split(": ")[-1 if "stage" in test["name"] else 0]: test["score"] for test in tests}


def graded(kind: str, outcomes: dict[str, Outcome], other: Outcome = Outcome.PASS) -> Verdict:
    """The verdict on a target whose checks end as said, and else in `other`."""
    planned, stages = KINDS[kind]
    results = [Result(each, outcomes.get(each.id, other), 0.0, observed="ValueError: planted") for each in planned]
    return verdict_of(results, "it", stages=stages)


@pytest.mark.parametrize("other", [Outcome.PASS, Outcome.ADVICE])
@pytest.mark.parametrize("kind", KINDS)
def test_without_an_error_it_is_sound_and_earns_all(kind: str, other: Outcome) -> None:
    verdict = graded(kind, {}, other)
    assert verdict.status is Status.SOUND
    assert exit_code([verdict]) == 0
    assert sum(points(verdict).values()) == 50 + 10 * len(KINDS[kind][1]) + len(KINDS[kind][0])


@pytest.mark.parametrize(("kind", "check"), EVERY, ids=[f"{kind} {each.id}" for kind, each in EVERY])
def test_an_error_in_any_check_is_not_shown_and_earns_nothing(kind: str, check: Check) -> None:
    verdict = graded(kind, {check.id: Outcome.ERROR})
    assert verdict.status is Status.NOT_SHOWN
    assert check.stage not in {*verdict.examined_stages, *verdict.cleared}
    assert exit_code([verdict]) == exit_code([verdict], require=verdict.examined_stages) == HARNESS_ERROR
    found = points(verdict)
    assert (found["verdict"], found[check.stage], found[check.id]) == (0, 0, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_hides_drift_but_not_what_is_broken(kind: str) -> None:
    first, *rest = KINDS[kind][0]
    universal = next(each for each in rest if each.level is Level.UNIVERSAL)
    assert graded(kind, {universal.id: Outcome.FAIL, first.id: Outcome.ERROR}).status is Status.BROKEN
    if contract := [each for each in rest if each.level is Level.CONTRACT]:
        assert graded(kind, {contract[0].id: Outcome.FAIL}).status is Status.DRIFT
        hidden = graded(kind, {contract[0].id: Outcome.FAIL, first.id: Outcome.ERROR})
        assert hidden.status is Status.NOT_SHOWN
        assert points(hidden)["verdict"] == 0


def test_a_result_with_an_error_is_not_kept_for_the_next_run(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path, "")
    for verdict, is_kept in (
        (graders.SOUND, True),
        (replace(graders.SOUND, errors=("planted",)), False),
        (graded("submission", {"PRM-101": Outcome.ERROR}), False),
    ):
        cache.write("x", "content", verdict)
        assert (cache.read("x", "content") is not None) == is_kept


# planted in what really runs


def boom(*_: object, **__: object) -> NoReturn:
    raise ValueError("planted")


def leave(*_: object, **__: object) -> NoReturn:
    sys.exit(0)


class Idle:
    """An implementation of which nothing is asked."""

    name, base, claims_contract = "idle", "toy", True

    def training_batch(self, rows: Sequence[Row]) -> Batch:
        raise NotImplementedError

    def train(self, folder: Path, rows: Sequence[Row], settings: Settings) -> TrainingResult:
        raise NotImplementedError

    def load(self, folder: Path) -> Answerer:
        raise NotImplementedError

    def test(self, answerer: Answerer, rows: Sequence[Row]) -> Score:
        raise NotImplementedError


@pytest.mark.parametrize("plant", [boom, leave])
@pytest.mark.parametrize("number", [0, -1])
def test_an_exception_in_a_check_of_an_implementation(plant: object, number: int) -> None:
    planned = [replace(each, run=lambda evidence: None, depends_on=()) for each in checks.CHECKS]
    verdict = grade_implementation(Idle(), "it", planned, lambda: None)
    assert verdict.status is Status.SOUND
    planned[number] = replace(planned[number], run=plant)  # type: ignore[arg-type]
    verdict = grade_implementation(Idle(), "it", planned, lambda: None)
    assert verdict.status is Status.NOT_SHOWN
    assert exit_code([verdict]) == HARNESS_ERROR


def test_an_exception_after_the_checks_of_an_implementation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sft_ref.harness.recorders.in_process.recorder.Recorder.has", boom)
    planned = [replace(each, run=lambda evidence: None, depends_on=()) for each in checks.CHECKS]
    verdict = grade_implementation(Idle(), "it", planned, lambda: None)
    assert_only_what_was_found_is_left(verdict)


def assert_only_what_was_found_is_left(verdict: Verdict) -> None:
    """All checks passed, and what came after them broke."""
    assert verdict.status is Status.NOT_SHOWN
    assert "ValueError: planted" in " ".join(verdict.errors)
    assert verdict.errors[0] in verdict.notes
    assert {result.outcome for result in verdict.results} <= {Outcome.PASS, Outcome.ADVICE}
    assert exit_code([verdict], require=verdict.examined_stages) == HARNESS_ERROR
    assert points(verdict)["verdict"] == 0


@pytest.mark.slow
def test_an_exception_in_a_check_of_an_adapter_and_after_them(
    toy_adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def grade() -> Verdict:
        return adapter_grading.grade_adapter(toy_adapter, "it", base=None, prompt=None)

    first = adapter_checks.CHECKS[0]
    monkeypatch.setattr(adapter_grading, "CHECKS", (replace(first, run=boom), *adapter_checks.CHECKS[1:]))
    verdict = grade()
    assert verdict.results[0].outcome is Outcome.ERROR
    assert first.stage not in verdict.examined_stages
    assert exit_code([verdict], require=verdict.examined_stages) == HARNESS_ERROR
    monkeypatch.setattr(
        adapter_grading, "CHECKS", tuple(replace(c, run=lambda evidence: None) for c in adapter_checks.CHECKS)
    )
    monkeypatch.setattr(Size, "__str__", boom)
    assert_only_what_was_found_is_left(grade())


@pytest.mark.slow
def test_an_exception_in_a_check_of_a_submission_and_after_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = tuple(replace(each, run=lambda evidence: None, depends_on=()) for each in submission_checks.CHECKS)
    monkeypatch.setattr(judge, "CHECKS", planned)
    monkeypatch.setattr("sft_ref.harness.verdict.submission.unexplained", boom)
    submission = next(each for each in corpus.SUBMISSIONS if each.name == "no_tags")
    path = corpus.build(submission, tmp_path / "it")
    assert_only_what_was_found_is_left(judge.grade_submission(path, "it", seed=11))
