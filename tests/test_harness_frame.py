"""Checks are declared once, run in order, and end in exactly one outcome."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from sft_ref.harness.checks import shared
from sft_ref.harness.checks.registry import ALL
from sft_ref.harness.checks.runner import plan, run
from sft_ref.harness.core.check import Check, Level, Outcome, check, in_order
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.core.implementation import Answerer, Batch, TrainingResult
from sft_ref.harness.core.verdict import Status
from sft_ref.harness.evidence import Evidence
from sft_ref.harness.evidence.adapter import AdapterEvidence
from sft_ref.harness.evidence.dataset.rows import DatasetEvidence
from sft_ref.harness.evidence.in_process.implementation_evidence import ImplementationEvidence
from sft_ref.harness.recorders.in_process.recorder import Recorder
from sft_ref.harness.verdict.diagnosis import decide_survival, suspects_of
from sft_ref.reference.data import Row, Score
from sft_ref.reference.settings import Settings


class Crashing:
    """An implementation that cannot do anything."""

    name, base, claims_contract = "crashing", "toy", False

    def training_batch(self, rows: Sequence[Row]) -> Batch:
        raise RuntimeError(f"no batch of {len(rows)} rows")

    def train(self, folder: Path, rows: Sequence[Row], settings: Settings) -> TrainingResult:
        raise MemoryError

    def load(self, folder: Path) -> Answerer:
        raise FileNotFoundError(folder)

    def test(self, answerer: Answerer, rows: Sequence[Row]) -> Score:
        raise ZeroDivisionError


def declare(id: str, run: Callable[..., str | None], **more: object) -> Check:  # noqa: A002
    return check(id, "a statement", why="why", remedy="remedy", **more)(run)  # type: ignore[arg-type]


def fail(evidence: ImplementationEvidence) -> None:
    raise Failure(3, "at most 2", "the case")


def lack(evidence: ImplementationEvidence) -> None:
    raise Unavailable("no CUDA device")


def crash(evidence: ImplementationEvidence) -> None:
    raise IndexError("the check's own")


def want_batch(batch: Batch) -> None:
    pass


def nothing(evidence: ImplementationEvidence) -> None:
    pass


@pytest.fixture
def evidence(tmp_path: Path) -> ImplementationEvidence:
    return Recorder(Crashing(), tmp_path).record(["batch"])


def outcomes(checks: Sequence[Check], evidence: ImplementationEvidence) -> list[Outcome]:
    return [result.outcome for result in run(plan(checks, claims_contract=True), evidence)]


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (nothing, Outcome.PASS),
        (fail, Outcome.FAIL),
        (lambda evidence: "could be better", Outcome.ADVICE),
        (lack, Outcome.SKIPPED),
        (crash, Outcome.ERROR),
        (want_batch, Outcome.FAIL),  # the implementation's crash is its own
    ],
)
def test_every_check_ends_in_one_outcome(
    body: Callable[[ImplementationEvidence], str | None], outcome: Outcome, evidence: ImplementationEvidence
) -> None:
    assert outcomes([declare("TOK-001", body)], evidence) == [outcome]


def test_a_failure_says_what_was_seen_allowed_and_how_to_repeat(evidence: ImplementationEvidence) -> None:
    [result] = run([declare("PRM-001", fail)], evidence, rerun="sft-ref checks")
    assert (result.observed, result.expected, result.example) == ("3", "at most 2", "the case")
    assert result.rerun == "sft-ref checks --only PRM-001"


def test_a_crash_of_the_implementation_is_told_with_its_reason(evidence: ImplementationEvidence) -> None:
    [result] = run([declare("TOK-001", want_batch)], evidence)
    assert result.observed == "the code raises RuntimeError: no batch of 8 rows"


def survive(evidence: ImplementationEvidence) -> None:
    raise Failure("alpha 31", "32, as trained", survivable=True)


@pytest.mark.parametrize(
    ("bodies", "status", "cause"),
    [
        ([survive], Status.DRIFT, "Alpha 31"),
        ([survive, fail], Status.BROKEN, "Found 3; expected: at most 2 (ART-00"),
        ([fail], Status.BROKEN, "Found 3; expected: at most 2 (ART-00"),
    ],
    ids=["survived", "one of two", "lost"],
)
def test_a_deviation_that_answers_survive_is_drift(
    bodies: list[Callable[[ImplementationEvidence], None]], status: Status, cause: str, evidence: ImplementationEvidence
) -> None:
    checks = [declare(f"ART-00{number}", body) for number, body in enumerate(bodies)]
    results = list(run(plan(checks, claims_contract=True), evidence))
    [suspect] = suspects_of(decide_survival(results, answers_survive=True))
    assert suspect.status is status
    [lost] = suspects_of(decide_survival(results, answers_survive=False))
    assert lost.status is Status.BROKEN
    assert cause in suspect.cause


@pytest.mark.parametrize("body", [fail, lack, crash])
def test_what_stands_on_a_check_that_did_not_pass_is_blocked(
    body: Callable[[ImplementationEvidence], str | None], evidence: ImplementationEvidence
) -> None:
    checks = [
        declare("PRM-001", body),
        declare("TOK-001", nothing, depends_on=("PRM-001",)),
        declare("TOK-002", nothing, depends_on=("TOK-001",)),
        declare("TOK-003", nothing),
    ]
    assert outcomes(checks, evidence)[1:] == [Outcome.BLOCKED, Outcome.BLOCKED, Outcome.PASS]


def test_checks_run_in_the_order_of_the_stages(evidence: ImplementationEvidence) -> None:
    ids = ["SCR-001", "LOD-002", "LOD-001", "PRM-001", "GEN-001", "PRS-001", "TRN-001", "ART-001", "TOK-001"]
    found = [each.id[:3] for each in in_order(declare(name, nothing) for name in ids)]
    assert found == ["PRM", "TOK", "TRN", "ART", "LOD", "LOD", "GEN", "PRS", "SCR"]


def test_a_duplicate_id_is_refused() -> None:
    with pytest.raises(ValueError, match="PRM-001 is declared twice"):
        in_order([declare("PRM-001", nothing), declare("PRM-001", fail)])


@pytest.mark.parametrize("other", ["TOK-001", "TOK-002", "SCR-001"])
def test_a_check_depends_neither_on_itself_nor_on_a_later_stage(other: str) -> None:
    second = declare("TOK-002", nothing, depends_on=("TOK-001",))
    with pytest.raises(ValueError, match="which does not come before it"):
        in_order([declare("TOK-001", nothing, depends_on=(other,)), second, declare("SCR-001", nothing)])


def test_a_check_runs_behind_those_that_it_depends_on() -> None:
    checks = [declare("TOK-001", nothing, depends_on=("TOK-101", "PRM-009")), declare("TOK-101", nothing)]
    assert [each.id for each in in_order(checks)] == ["TOK-101", "TOK-001"]


def test_every_check_depends_on_checks_that_exist() -> None:
    ids = {each.id for each in ALL}
    assert {each.id: set(each.depends_on) - ids for each in ALL if set(each.depends_on) - ids} == {}


def test_a_check_is_handed_the_parts_that_it_needs() -> None:
    @check("TOK-001", "A statement", why="Why.", remedy="Remedy.")
    def equal(one: int, other: int) -> str:
        return f"{one} and {other}"

    assert equal.needs == ("one", "other")
    assert equal(argparse.Namespace(one=1, other=2, third=3)) == "1 and 2"
    with pytest.raises(Unavailable, match="other: not observed"):
        equal(argparse.Namespace(one=1, other=None))
    with pytest.raises(Unavailable, match="other: not observed"):
        equal(argparse.Namespace(one=1))


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        (ImplementationEvidence, {"ART-104", "LOD-108"}),
        (Evidence, {"ART-002", "ART-003"}),
        (AdapterEvidence, {"LOD-001"}),
    ],
)
def test_a_shared_check_is_for_each_kind_of_evidence_that_has_its_parts(kind: type, missing: set[str]) -> None:
    left_out = {each.id for each in shared.CHECKS} - {each.id for each in shared.checks_of(kind)}
    assert missing <= left_out
    assert "ART-007" not in left_out


def test_a_shared_check_is_for_several_kinds_of_evidence() -> None:
    kinds = [shared.checks_of(kind) for kind in (ImplementationEvidence, Evidence, AdapterEvidence, DatasetEvidence)]
    assert [each.id for each in shared.CHECKS if sum(each in checks for checks in kinds) < 2] == []


@pytest.mark.parametrize("name", ["XYZ-001", "PRM001", "PRM-1", "PRM-abc", "prm-001"])
def test_an_id_is_a_stage_and_three_digits(name: str) -> None:
    with pytest.raises(ValueError, match="three digits"):
        declare(name, nothing)


def test_the_contract_binds_only_who_claims_it() -> None:
    checks = [declare("PRM-001", nothing), declare("PRM-002", nothing, level=Level.CONTRACT)]
    assert [each.id for each in plan(checks, claims_contract=False)] == ["PRM-001"]
    assert [each.id for each in plan(checks, claims_contract=True)] == ["PRM-001", "PRM-002"]


def test_every_check_says_why_and_what_to_do() -> None:
    for each in ALL:
        assert each.statement[0].isupper(), each.id
        assert not each.statement.endswith("."), each.id
        assert each.why.endswith("."), each.id
        assert each.remedy.endswith("."), each.id
