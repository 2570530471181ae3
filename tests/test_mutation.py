"""The scoreboard tells a caught mutant from an escaped one, and a passed control from a failed one."""

import json
from dataclasses import replace
from pathlib import Path

import mutation
import pytest
import scoreboard
from close_margins import ACCEPTED
from mutation import Control, Mutant, Row, find, judge_control, judge_mutant

import sft_ref
from sft_ref.harness.checks.in_process import CHECKS, RETIRED
from sft_ref.harness.core import margins, tolerance
from sft_ref.harness.core.check import Check, Level, check
from sft_ref.harness.core.findings import Failure
from sft_ref.harness.core.implementation import TrainingResult
from sft_ref.harness.core.stages import STAGES
from sft_ref.harness.evidence.in_process.implementation_evidence import ImplementationEvidence
from sft_ref.harness.recorders.in_process.reference import Reference
from sft_ref.reference import prompt


@check("PRS-001", "the parser reads 6", why="why", remedy="remedy")
def reads_six(evidence: ImplementationEvidence) -> None:
    if prompt.parse_answer("6") != 6:
        raise Failure(prompt.parse_answer("6"), 6, "6")


@check("SCR-001", "the check itself breaks", why="why", remedy="remedy")
def breaks(evidence: ImplementationEvidence) -> None:
    raise ZeroDivisionError


@check("SCR-001", "the parser reads 7", why="why", remedy="remedy")
def reads_seven(evidence: ImplementationEvidence) -> None:
    if prompt.parse_answer("7") != 7:
        raise Failure(prompt.parse_answer("7"), 7, "7")


def mutant(stage: str, *checks: str, **patches: object) -> Mutant:
    replaced = {f"sft_ref.reference.prompt.{name}": new for name, new in patches.items()}
    return Mutant("X1", stage, checks or ("PRS-001",), "a fault", "a source", replaced)


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainingResult:
    """A training that nothing here looks at, nor at a reference run made of it."""
    monkeypatch.setattr(mutation, "_reference_run_of", lambda trained: None)
    (tmp_path / "shared").mkdir()
    return TrainingResult(tmp_path / "shared", {}, ())


@pytest.mark.parametrize(
    ("planted", "checks", "caught", "right"),
    [
        (mutant("parse", parse_answer=lambda text: 0.0), [reads_six], True, True),
        (mutant("score", parse_answer=lambda text: 0.0), [reads_six], True, False),  # another stage is named
        (mutant("parse", format_value=str), [reads_six], False, False),  # it escapes
        (mutant("score"), [reads_six, breaks], False, False),  # an error of a check catches nothing
        (mutant("parse", parse_answer=lambda text: 0.0), [reads_six, breaks], True, True),  # nor is it waited for
        (mutant("parse", "PRS-001", "SCR-001", parse_answer=lambda text: 0.0), [reads_six, reads_seven], True, True),
        (mutant("parse", "PRS-001", "SCR-001", parse_answer=lambda text: 7.0), [reads_six, reads_seven], False, False),
        (mutant("parse", "PRS-001", "SCR-001", parse_answer=lambda text: 7.0), [reads_six, breaks], False, False),
        (mutant("score", "SCR-001", parse_answer=lambda text: 0.0), [reads_six, reads_seven], False, False),
    ],
)
def test_a_mutant_is_right_only_if_each_check_that_it_names_fails_and_the_first_failure_is_of_its_stage(
    planted: Mutant, checks: list[Check], caught: bool, right: bool, shared: TrainingResult
) -> None:
    row = judge_mutant(planted, checks, shared)
    assert (row.caught, row.right) == (caught, right)
    assert sft_ref.reference.prompt.parse_answer("6") == 6  # the mutant is dead


@pytest.mark.parametrize(
    ("stage", "checks", "caught", "right"),
    [
        ("parse", [reads_six], True, True),
        ("score", [reads_six], True, False),
        ("parse", [reads_seven], False, False),
        ("parse", [breaks], False, False),
    ],
)
def test_a_mutant_that_names_no_check_is_right_if_the_first_failure_is_of_its_stage(
    stage: str, checks: list[Check], caught: bool, right: bool, shared: TrainingResult
) -> None:
    blind = replace(mutant(stage, parse_answer=lambda text: 7.0), checks=())
    row = judge_mutant(blind, checks, shared)
    assert (row.caught, row.right) == (caught, right)


def test_a_named_check_that_does_not_fail_is_told(shared: TrainingResult) -> None:
    half_caught = mutant("parse", "PRS-001", "SCR-001", parse_answer=lambda text: 7.0)
    row = judge_mutant(half_caught, [reads_six, reads_seven], shared)
    assert [each.id for each in row.found] == ["PRS-001"]
    assert row.missed == ("SCR-001",)


def test_a_tolerance_loosened_until_a_mutant_escapes_makes_the_board_red(
    toy_adapter: Path, pytestconfig: pytest.Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mutation, "_reference_run_of", lambda trained: None)
    folder = pytestconfig.rootpath / "tests" / "mutants"
    [merged_twice] = [each for each in find(folder, "MUTANT") if each.id == "A12"]
    [merging] = [replace(each, depends_on=()) for each in CHECKS if each.id == "LOD-004"]

    def board() -> int:
        row = judge_mutant(merged_twice, [merging], TrainingResult(toy_adapter, {}, ()))
        monkeypatch.setattr(scoreboard, "_judge_all", lambda tests, names, workers, threads: iter([row]))
        return scoreboard.main(["--tests", str(tmp_path)])

    for kind in ("mutants", "controls"):
        (tmp_path / kind).mkdir()
    assert board() == 0
    monkeypatch.setitem(tolerance.LOGITS, "float32", 1e3)
    assert board() == 1


def test_a_patch_of_a_name_that_is_not_there_is_an_error(shared: TrainingResult) -> None:
    with pytest.raises(AttributeError):
        judge_mutant(mutant("parse", no_such_name=str), [reads_six], shared)


class Sceptic(Reference):
    """The reference, without its claim."""

    claims_contract = False


@pytest.mark.parametrize(
    ("make", "checks", "right"),
    [
        (Reference, [reads_six], True),
        (Reference, [breaks], False),
        (Reference, [check("PRM-001", "no", why="why", remedy="remedy", level=Level.CONTRACT)(breaks.run)], False),
        (Sceptic, [check("PRM-001", "no", why="why", remedy="remedy", level=Level.CONTRACT)(breaks.run)], True),
    ],
)
def test_a_control_is_right_only_if_nothing_that_binds_it_fails(
    make: type[Reference], checks: list[Check], right: bool, shared: TrainingResult
) -> None:
    assert judge_control(Control("C1", "a note", make), checks, shared).right is right


@pytest.mark.parametrize(
    ("right", "code", "line"),
    [
        (True, 0, "mutants caught 1/1, stage named 1/1, controls failed 0/1, close to a limit 0, seconds 0"),
        (False, 1, "mutants caught 0/1, stage named 0/1, controls failed 1/1, close to a limit 0, seconds 0"),
    ],
)
def test_any_miss_and_any_failed_control_make_it_red(
    right: bool,
    code: int,
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for folder in ("mutants", "controls"):
        (tmp_path / folder).mkdir()
    rows = [
        Row("X1", "mutant", "a fault", "parse", right, right, ()),
        Row("C1", "control", "odd", "", not right, right, ()),
    ]
    monkeypatch.setattr(scoreboard, "_judge_all", lambda tests, names, workers, threads: iter(rows))
    assert scoreboard.main(["--tests", str(tmp_path), "--json", str(tmp_path / "rows.json")]) == code
    assert capsys.readouterr().out.splitlines()[-1] == line
    assert [row["right"] for row in json.loads((tmp_path / "rows.json").read_text())] == [right, right]


def test_every_check_is_named_by_a_mutant_and_nothing_else_is(pytestconfig: pytest.Config) -> None:
    mutants = find(pytestconfig.rootpath / "tests" / "mutants", "MUTANT")
    assert {name for each in mutants for name in each.checks} == {each.id for each in CHECKS}
    for each in mutants:
        assert {STAGES[name[:3]] for name in each.checks} == {each.stage}, each.id


def test_a_retired_id_is_not_used_again() -> None:
    assert not {each.id for each in CHECKS} & set(RETIRED)


@pytest.mark.parametrize("folder", ["tests", "tests/blind"])
def test_every_mutant_has_a_stage_a_source_and_an_id_of_its_own(folder: str, pytestconfig: pytest.Config) -> None:
    tests = pytestconfig.rootpath / folder
    mutants, controls = find(tests / "mutants", "MUTANT"), find(tests / "controls", "CONTROL")
    names = [each.id for each in [*mutants, *controls]]
    assert len(set(names)) == len(names)
    assert len(controls) >= 15
    for each in mutants:
        assert each.stage in STAGES.values()
        assert each.fault
        assert each.source


def measuring(share: float) -> Check:
    """A check that measures one value, at this share of its limit."""

    @check("PRS-001", "A value is within its limit", why="Why.", remedy="Remedy.")
    def measured(evidence: ImplementationEvidence) -> None:
        if margins.exceeds(share, 1.0):
            raise Failure(share, 1.0)

    return measured


def board_of(row: Row, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of a board with this one row."""
    for kind in ("mutants", "controls"):
        (folder / kind).mkdir(exist_ok=True)
    monkeypatch.setattr(scoreboard, "_judge_all", lambda tests, names, workers, threads: iter([row]))
    return scoreboard.main(["--tests", str(folder)])


@pytest.mark.parametrize("kind", ["mutant", "control"])
def test_a_close_margin_makes_the_board_red_unless_a_reason_is_listed(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = Row("X1", kind, "a fault", "parse", kind == "mutant", True, (), close=(("PRS-001", 1.5),))  # noqa: FBT003
    assert board_of(row, tmp_path, monkeypatch) == 1
    assert board_of(replace(row, close=()), tmp_path, monkeypatch) == 0
    monkeypatch.setitem(ACCEPTED, ("X1", "PRS-002"), "of another check")
    assert board_of(row, tmp_path, monkeypatch) == 1
    monkeypatch.setitem(ACCEPTED, ("X1", "PRS-001"), "it saturates")
    assert board_of(row, tmp_path, monkeypatch) == 0
    assert capsys.readouterr().out.count("accepted: it saturates") == 1


def test_each_accepted_margin_is_of_a_row_and_a_check_and_has_a_reason(pytestconfig: pytest.Config) -> None:
    names = {
        each.id
        for folder in ("tests", "tests/blind")
        for kind, name in (("mutants", "MUTANT"), ("controls", "CONTROL"))
        for each in find(pytestconfig.rootpath / folder / kind, name)
    }
    checks = {each.id for each in CHECKS}
    for (name, check_id), reason in ACCEPTED.items():
        assert name in names
        assert check_id in checks
        assert reason


@pytest.mark.parametrize(("share", "close"), [(1.5, (("PRS-001", 1.5),)), (2.5, ())])
def test_a_mutant_that_fails_by_a_hair_is_shown(
    share: float, close: tuple[tuple[str, float], ...], shared: TrainingResult
) -> None:
    row = judge_mutant(mutant("parse"), [measuring(share)], shared)
    assert row.caught
    assert row.close == close


@pytest.mark.parametrize(("share", "close"), [(0.6, (("PRS-001", 0.6),)), (0.4, ())])
def test_a_control_that_passes_by_a_hair_is_shown(
    share: float, close: tuple[tuple[str, float], ...], shared: TrainingResult
) -> None:
    row = judge_control(Control("C1", "a note", Reference), [measuring(share)], shared)
    assert row.right
    assert row.close == close
