"""The checks as callables: what comes of each is told in the way in which every test runner hears it."""

import unittest
from collections.abc import Callable
from unittest import mock

import pytest

from sft_ref.harness.checks.in_process import CHECKS
from sft_ref.harness.checks.runner import plan
from sft_ref.harness.core.check import Check, Level, check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.evidence.in_process.implementation_evidence import ImplementationEvidence
from sft_ref.harness.grading import suite
from sft_ref.harness.grading.suite import Advice, checks_for
from sft_ref.harness.recorders.in_process.reference import Reference


class Sceptic(Reference):
    """The reference, without its claim."""

    claims_contract = False


def declare(id: str, run: Callable[[ImplementationEvidence], str | None], *after: str) -> Check:  # noqa: A002
    return check(id, "a statement", why="a reason", remedy="a cure", depends_on=after)(run)


def fail(evidence: ImplementationEvidence) -> None:
    raise Failure(3, "at most 2", "the case")


def lack(evidence: ImplementationEvidence) -> None:
    raise Unavailable("no CUDA device")


def crash(evidence: ImplementationEvidence) -> None:
    raise IndexError("the check's own")


@pytest.mark.parametrize(
    ("body", "raised", "words"),
    [
        (fail, AssertionError, "PRM-001: a statement\n  observed 3\n  expected at most 2\n  example  the case\n"),
        (lack, unittest.SkipTest, "skipped: no CUDA device"),
        (crash, RuntimeError, "PRM-001 itself broke: IndexError: the check's own"),
    ],
)
def test_an_outcome_is_told_in_words_that_test_runners_know(
    body: Callable[[ImplementationEvidence], None], raised: type[Exception], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite, "CHECKS", [declare("PRM-001", body)])
    [bound] = checks_for(Reference())
    with pytest.raises(raised) as caught:
        bound()
    assert str(caught.value).startswith(words)


def test_advice_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "CHECKS", [declare("PRM-001", lambda evidence: "could be better")])
    [bound] = checks_for(Reference())
    with pytest.warns(Advice, match="PRM-001: could be better"):
        bound()


def test_what_stands_on_a_failed_check_is_blocked_and_what_is_called_alone_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        suite, "CHECKS", [declare("PRM-001", fail), declare("PRM-002", lambda evidence: None, "PRM-001")]
    )
    first, second = checks_for(Reference())
    second()
    with pytest.raises(AssertionError):
        first()
    with pytest.raises(unittest.SkipTest, match="blocked: PRM-001 did not pass"):
        second()


@pytest.mark.parametrize("kind", [Reference, Sceptic])
def test_its_ids_are_those_of_the_checks_that_bind(kind: type[Reference]) -> None:
    bound = [str(each) for each in checks_for(kind())]
    assert bound == [each.id for each in plan(CHECKS, claims_contract=kind.claims_contract)]
    assert ("LOD-005" in bound) is kind.claims_contract
    assert {each.level for each in CHECKS} == {Level.UNIVERSAL, Level.CONTRACT}


def test_nothing_is_trained_before_it_is_needed_and_then_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def look(trained: object) -> None:
        pass

    bodies = [declare("PRM-001", lambda evidence: None), declare("TRN-001", look), declare("TRN-002", look)]
    monkeypatch.setattr(suite, "CHECKS", bodies)
    with mock.patch.object(Reference, "train") as train:
        train.return_value.folder.is_dir.return_value = False
        calls = []
        for bound in checks_for(Reference()):
            bound()
            calls.append(train.call_count)
    assert calls == [0, 1, 1]
