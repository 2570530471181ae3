"""A run of a scoreboard is compared with the golden results row by row, and changes none without a reason."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import board
import build as corpus
import golden
import msgspec
import pytest
import scoreboard
from golden import Behaviour, Change, GoldenError, compare, settle, to_text
from mutation import Found, Row, find

from sft_ref.harness.checks.registry import IDS
from sft_ref.harness.core.check import Outcome
from sft_ref.harness.core.stages import STAGES
from sft_ref.harness.core.verdict import Status, Verdict

CAUGHT = Behaviour("mutant", "A1", "caught", ("load",), "LOD-004")
PASSED = Behaviour("control", "C1", "passed", (), "")
SOUND = Behaviour("submission", "plain", "sound", (), "")
EXISTING = {CAUGHT.key, PASSED.key, ("mutant", "A0"), ("control", "C0")}


def options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    golden.add_arguments(parser)
    return parser.parse_args(words)


def written(path: Path) -> list[Behaviour]:
    return msgspec.json.decode(path.read_bytes(), type=list[Behaviour])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of three rows."""
    path = tmp_path / "behaviour.json"
    path.write_text(to_text([CAUGHT, PASSED, SOUND]))
    return path


def run(path: Path, found: Sequence[Behaviour], *words: str) -> int:
    args = options(*words)
    rows = golden.read(path, args)
    assert rows is not None
    return settle(path, rows, found, EXISTING, args)


def replaced(row: Behaviour, **fields: object) -> Behaviour:
    return msgspec.structs.replace(row, **fields)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([replaced(CAUGHT, verdict="not caught")], "changed: mutant A1: not caught, load, LOD-004; was caught, load"),
        ([replaced(CAUGHT, stages=("load", "parse"))], "changed: mutant A1: caught, load, parse, LOD-004; was caught"),
        ([replaced(CAUGHT, check="LOD-005")], "changed: mutant A1: caught, load, LOD-005; was caught, load, LOD-004"),
        ([replaced(PASSED, name="C2")], "new: control C2: passed; has no line yet"),
        ([PASSED, replaced(PASSED, verdict="failed")], "varies: control C1: passed; or failed, in the same run"),
        ([replaced(PASSED, verdict=golden.NOT_GRADED)], "not graded: control C1: run it again"),
    ],
)
def test_each_row_that_differs_is_one_line_and_exit_code_1(
    found: list[Behaviour], said: str, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = path.read_bytes()
    assert run(path, found, "--golden") == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(said)
    assert lines[1] == "golden rows: 1 compared, 1 differ, 0 written"
    assert path.read_bytes() == before


def test_a_run_of_a_part_that_agrees_is_exit_code_0(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(path, [CAUGHT], "--golden") == 0
    assert capsys.readouterr().out == "golden rows: 1 compared, 0 differ, 0 written\n"


def test_a_row_of_what_no_longer_exists_is_told_and_of_another_kind_is_not() -> None:
    rows = {row.key: row for row in (CAUGHT, PASSED, SOUND)}
    [gone] = compare(rows, [PASSED], {PASSED.key, ("mutant", "A2")})
    assert (gone.change, gone.key) == (Change.GONE, CAUGHT.key)


def test_update_writes_new_rows_and_leaves_all_others(path: Path) -> None:
    new = replaced(CAUGHT, name="A0")
    assert run(path, [new, PASSED], "--update") == 0
    assert written(path) == [PASSED, new, CAUGHT, SOUND]  # by kind and name


def test_update_begins_a_file(tmp_path: Path) -> None:
    path = tmp_path / "new.json"
    assert run(path, [CAUGHT, PASSED], "--update") == 0
    assert path.read_text().splitlines() == [
        "[",
        '{"kind": "control", "name": "C1", "verdict": "passed", "stages": [], "check": ""},',
        '{"kind": "mutant", "name": "A1", "verdict": "caught", "stages": ["load"], "check": "LOD-004"}',
        "]",
    ]


def test_a_changed_row_is_written_only_with_a_reason_that_stands_beside_it(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed, new = replaced(CAUGHT, check="LOD-005"), replaced(CAUGHT, name="A0")
    assert run(path, [changed, new], "--update") == 1
    assert written(path) == [PASSED, new, CAUGHT, SOUND]
    assert "--update --reason TEXT writes them" in capsys.readouterr().out
    assert run(path, [changed, new], "--update", "--reason", "LOD-004 split in two") == 0
    assert written(path) == [PASSED, new, replaced(changed, reason="LOD-004 split in two"), SOUND]
    assert run(path, [changed], "--golden") == 0


@pytest.mark.parametrize(
    "found",
    [[replaced(PASSED, verdict="not graded")], [replaced(PASSED, name="C3"), replaced(PASSED, name="C3", check="x")]],
)
def test_what_was_not_graded_or_varies_is_never_written(found: list[Behaviour], path: Path) -> None:
    before = path.read_bytes()
    assert run(path, found, "--update", "--reason", "none") == 1
    assert path.read_bytes() == before


def test_rows_that_another_run_has_written_meanwhile_stay(path: Path) -> None:
    new, other = replaced(CAUGHT, name="A0"), replaced(PASSED, name="C0")
    args = options("--update")
    rows = golden.read(path, args)
    assert rows is not None
    assert run(path, [other], "--update") == 0
    assert settle(path, rows, [new], EXISTING, args) == 0
    assert written(path) == [other, PASSED, new, CAUGHT, SOUND]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, r"behaviour\.json: cannot be read \(No such file or directory\); restore it, or make it with --update"),
        ("[{", r"behaviour\.json: cannot be read \(it is not JSON"),
        ('[{"kind": "mutant"}]', r"missing required field `name` at `\$\[0\]`"),
        (to_text([CAUGHT, replaced(CAUGHT, check="")]), "holds mutant A1 twice; delete one of the lines"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(content: str | None, said: str, path: Path) -> None:
    path.write_text(content) if content is not None else path.unlink()
    with pytest.raises(GoldenError, match=said):
        golden.read(path, options("--golden"))


@pytest.mark.parametrize("words", [["--reason", "x"], ["--golden", "--reason", "x"], ["--update", "--reason", " "]])
def test_a_reason_is_refused_where_it_is_empty_or_nothing_is_written(words: list[str], path: Path) -> None:
    with pytest.raises(GoldenError, match="--reason: belongs to --update"):
        golden.read(path, options(*words))


def failed(check: str, stage: str, outcome: Outcome = Outcome.FAIL) -> Found:
    return Found(check, stage, "statement", outcome, "seen", "allowed")


@pytest.fixture
def tests_folder(tmp_path: Path) -> Path:
    """A folder of tests with one mutant and one control, whose rows are golden."""
    for kind, name, key in (("mutants", "MUTANT", "A1"), ("controls", "CONTROL", "C1")):
        (tmp_path / kind).mkdir()
        source = f"from types import SimpleNamespace\n{name} = SimpleNamespace(id={key!r}, retrain=False)\n"
        (tmp_path / kind / f"golden_{name.lower()}.py").write_text(source)
    (tmp_path / "baselines").mkdir()
    (tmp_path / golden.FILE).write_text(to_text([CAUGHT, PASSED]))
    return tmp_path


@pytest.mark.parametrize(
    ("caught", "right", "found", "code"),
    [
        (True, True, [failed("LOD-004", "load")], 0),
        (True, True, [failed("LOD-005", "load")], 1),
        (True, False, [failed("LOD-004", "load")], 1),
        (False, False, [failed("LOD-004", "load")], 1),
        (True, True, [failed("LOD-004", "load"), failed("PRS-001", "parse")], 1),
        (True, True, [failed("LOD-004", "load", Outcome.ERROR)], 1),
    ],
)
def test_the_scoreboard_compares_verdict_stages_and_first_check(
    caught: bool, right: bool, found: list[Found], code: int, tests_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        Row("A1", "mutant", "a fault", "load", caught, right, tuple(found)),
        Row("C1", "control", "odd", "", caught=False, right=True, found=()),
    ]
    monkeypatch.setattr(scoreboard, "_judge_all", lambda tests, names, workers, threads: iter(rows))
    assert scoreboard.main(["--tests", str(tests_folder), "--golden"]) == code


def test_a_scoreboard_without_its_file_is_bad_input(tests_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tests_folder / golden.FILE).unlink()
    with pytest.raises(SystemExit) as ended:
        scoreboard.main(["--tests", str(tests_folder), "--golden"])
    assert ended.value.code == 2
    assert "behaviour.json: cannot be read (No such file" in capsys.readouterr().err


@pytest.fixture
def graded(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Keywords with which the board of submissions grades; each is sound."""
    asked: list[dict[str, Any]] = []

    def grade_batch(targets: Sequence[str], grade: functools.partial[Verdict], *_: object, jobs: int) -> Iterator[Any]:
        asked.append({**grade.keywords, "threads": os.environ.get("OMP_NUM_THREADS")})
        for target in targets:
            verdict = Verdict(target, Status.SOUND)
            yield argparse.Namespace(target=target, grade=verdict)

    monkeypatch.setattr(board, "grade_batch", grade_batch)
    return asked


def test_golden_submissions_are_asked_the_same_questions_by_one_thread_in_every_run(
    graded: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "__file__", str(tmp_path / "submissions" / "board.py"))
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    (tmp_path / "baselines").mkdir()
    assert board.main(["no_tags", "--update"]) == 0
    assert {(each["seed"], each["threads"]) for each in graded} == {(board.GOLDEN_SEED, "1")}
    assert board.main(["no_tags", "--golden"]) == 0
    graded.clear()
    assert board.main(["no_tags"]) == 0
    assert {(each["seed"], each["threads"]) for each in graded} == {(None, "2")}


def test_a_submission_graded_with_an_error_of_the_harness_is_no_golden_row() -> None:
    row = board._row(corpus.SUBMISSIONS[0], Verdict("x", Status.NOT_SHOWN, errors=("it broke",)))
    assert board._behaviour(row).verdict == golden.NOT_GRADED
    assert board._behaviour(dataclasses.replace(row, graded=True)).verdict == "not shown"


def test_an_unknown_submission_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        board.main(["no_such_one", "--golden"])
    assert ended.value.code == 2
    assert "no submission named no_such_one" in capsys.readouterr().err


def test_every_kept_row_is_of_something_that_exists(pytestconfig: pytest.Config) -> None:
    tests = pytestconfig.rootpath / "tests"
    rows = written(tests / golden.FILE)
    names = {
        "mutant": {each.id for each in find(tests / "mutants", "MUTANT")},
        "control": {each.id for each in find(tests / "controls", "CONTROL")},
        "submission": {each.name for each in corpus.SUBMISSIONS},
    }
    for row in rows:
        assert row.name in names[row.kind], row
        assert set(row.stages) <= set(STAGES.values()), row
        assert row.check in {*IDS, ""}, row
    assert (tests / golden.FILE).read_text(encoding="utf-8") == to_text(rows)  # sorted, a line a row


def test_every_mutant_and_control_has_a_kept_row(pytestconfig: pytest.Config) -> None:
    tests = pytestconfig.rootpath / "tests"
    rows = {row.key for row in written(tests / golden.FILE)}
    assert not {("mutant", each.id) for each in find(tests / "mutants", "MUTANT")} - rows
    assert not {("control", each.id) for each in find(tests / "controls", "CONTROL")} - rows
