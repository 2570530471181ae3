"""`sft-ref grade`: one submission or many, and the reports asked for."""

import csv
import json
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent / "mutants"))
import graders

from sft_ref.cli import main as cli
from sft_ref.cli.grade import command
from sft_ref.harness.grading.target import grade_one


@pytest.fixture(autouse=True)
def _made_up_verdicts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "grade_one", graders.grade_by_name)


def submissions(*names: str) -> None:
    for name in names:
        Path("class", name).mkdir(parents=True)
        Path("class", name, "sft.py").write_text(name)


def test_one_submission_gets_the_whole_report_and_every_file_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    submissions("broken")
    files = ["--json", "r.json", "--csv", "r.csv", "--html", "r.html", "--gradescope", "g.json"]
    assert cli.main(["grade", "class/broken", *files]) == 1
    captured = capsys.readouterr()
    assert "BROKEN" in captured.out
    assert "Let the parser take the text" in captured.out
    assert captured.err == ""
    assert json.loads(Path("r.json").read_text())[0]["path"] == "class/broken"
    assert json.loads(Path("g.json").read_text())["score"] == 10
    assert "At fault: parse" in Path("r.html").read_text()
    assert len(Path("r.csv").read_text().splitlines()) == 2
    assert sorted(path.name for path in Path().iterdir()) == ["class", "g.json", "r.csv", "r.html", "r.json"]


def test_a_class_gets_a_row_each_a_table_a_picture_and_the_gravest_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sft_ref.cli.grade.submissions.FEW", 1)
    submissions("a_drift", "b_broken", "c", "d_no_submission")
    assert cli.main(["grade", "class", "--jobs", "2", "--json", "r.json", "--html", "r.html"]) == 2
    out = capsys.readouterr().out
    assert "4 submissions: 1 sound, 1 drift, 1 broken, 1 bad input" in out
    rows = json.loads(Path("r.json").read_text())
    assert [Path(row["path"]).name for row in rows] == ["a_drift", "b_broken", "c", "d_no_submission"]
    with Path("grades", "grades.csv").open(newline="", encoding="utf-8") as file:
        assert [row["verdict"] for row in csv.DictReader(file)] == ["drift", "broken", "sound", ""]
    assert sorted(path.name for path in Path("grades").iterdir()) == ["causes.png", "grades.csv", "results"]
    assert len(list(Path("grades", "results").iterdir())) == 4
    assert cli.main(["grade", "class"]) == 2
    assert capsys.readouterr().out.count("graded before") == 3


def test_the_results_of_a_class_are_no_submission_of_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    submissions("a", "b")
    monkeypatch.chdir("class")
    for _ in range(2):
        assert cli.main(["grade", "."]) == 0
        assert "2 submissions: 2 sound" in capsys.readouterr().out
    assert sorted(path.name for path in Path().iterdir()) == ["a", "b", "grades"]


def test_drift_is_0_and_1_where_strict() -> None:
    submissions("drift", "bob")
    assert cli.main(["grade", "class/drift"]) == 0
    assert cli.main(["grade", "class/drift", "--strict"]) == 1
    assert cli.main(["grade", "class", "--strict"]) == 1
    assert cli.main(["grade", "class/bob", "--strict"]) == 0


def test_bad_input_is_one_line_and_yet_reaches_the_reports(capsys: pytest.CaptureFixture[str]) -> None:
    submissions("no_submission")
    assert cli.main(["grade", "class/no_submission", "--gradescope", "g.json", "--json", "r.json"]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert "holds no submission" in captured.err
    assert json.loads(Path("g.json").read_text())["score"] == 0
    assert json.loads(Path("r.json").read_text())[0]["exit_code"] == 2


def test_a_bug_of_the_judge_is_exit_code_3_and_says_where(capsys: pytest.CaptureFixture[str]) -> None:
    submissions("raises")
    assert cli.main(["grade", "class/raises", "--gradescope", "g.json"]) == 3
    assert "graders.py, line" in capsys.readouterr().out
    assert not Path("g.json").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["class", "--gradescope", "g.json"], "--gradescope: holds one submission's results, and 2 are given"),
        (["class/a", "--rubric", "r.toml"], "--rubric: is used only for --gradescope"),
        (["class/a", "--gradescope", "g.json", "--rubric", "none.toml"], "none.toml: cannot be read"),
        (["class/a", "--json", "none/r.json"], "cannot write none/r.json"),
        (["class/a", "--html", "class"], "cannot write class: it is a folder"),
        (["none.zip"], "none.zip: there is no such file"),
        (["class", "--output", "class/a/sft.py"], "cannot write class/a/sft.py"),
    ],
)
def test_bad_options_are_one_line_before_anything_is_graded(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    submissions("a", "b")
    monkeypatch.setenv("GRADED_LOG", "log")
    assert cli.main(["grade", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert [path.name for path in Path().iterdir()] == ["class"]


@pytest.mark.parametrize("jobs", ["0", "-1", "many"])
def test_jobs_are_counted_from_1(jobs: str) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["grade", "class", "--jobs", jobs])
    assert end.value.code == 2


def test_the_story_is_broken_at_the_parser_and_drifts_at_load(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "grade_one", grade_one)
    only = ["--only", "PRM-003", "LOD-005", "LOD-006", "PRS-001", "PRS-007", "SCR-001"]
    assert cli.main(["grade", "story:Story", "--json", "r.json", *only]) == 1
    [row] = json.loads(Path("r.json").read_text())
    assert row["verdict"] == "broken"
    assert [(suspect["stage"], suspect["status"]) for suspect in row["suspects"]] == [
        ("load", "drift"),
        ("parse", "broken"),
    ]
    assert row["cause"].startswith("parse: The parser returns nan for ")
    assert "which the prompt has already consumed; expected: " in row["cause"]
    assert row["evidence"][0].startswith("LOD-005: base model.embed_tokens.weight is float16; expected: float32")
    assert row["cleared"] == {"prompt": "1 of 1 checks pass"}
    assert {each["id"]: each["outcome"] for each in row["checks"]}["SCR-001"] == "skipped"
    out = capsys.readouterr().out
    assert "not sandboxed" in out
    assert "(none of its checks was run)" in " ".join(out.replace("│", " ").split())


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("name", ["reference", "evil:go"])
def test_what_exists_is_a_path_whatever_its_name(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "grade_one", grade_one)
    Path(name).mkdir()
    Path(name, "notes.txt").write_text("no code")
    Path("evil.py").write_text("import pathlib; pathlib.Path('ran').touch()")
    assert cli.main(["grade", name]) == 2
    assert "neither code" in capsys.readouterr().err
    assert not Path("ran").exists()


@pytest.mark.usefixtures("in_this_process")
def test_a_zip_with_a_colon_in_its_name_is_a_zip(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "grade_one", grade_one)
    Path("2026-11-25T12:30.zip").write_bytes(b"PK nonsense")
    assert cli.main(["grade", "2026-11-25T12:30.zip"]) == 2
    error = capsys.readouterr().err
    assert "12:30.zip" in error
    assert "import" not in error


@pytest.mark.slow
def test_a_module_is_meant_by_name_even_where_a_path_of_that_name_exists(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "grade_one", grade_one)
    Path("reference").mkdir()
    files = ["--json", "r.json", "--csv", "r.csv", "--html", "r.html"]
    assert cli.main(["grade", "--module", "reference", "--only", "PRM-003", *files]) == 0
    headline = capsys.readouterr().out.partition("╰")[0]
    assert "ran in this process, not sandboxed: it is sft_ref's own code" in headline
    [row] = json.loads(Path("r.json").read_text())
    assert row["notes"][0] == "ran in this process, not sandboxed: it is sft_ref's own code"
    assert row["checks"][0]["rerun"] == ""
    for name in ("r.csv", "r.html"):
        assert "ran in this process, not sandboxed" in Path(name).read_text(encoding="utf-8")


def test_a_module_that_cannot_be_imported_is_bad_input_whatever_it_raises(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "grade_one", grade_one)
    monkeypatch.syspath_prepend(Path.cwd())
    for name, code in (("raises_it", "1 / 0"), ("quits_it", "raise SystemExit(0)"), ("is_no_code", "def")):
        Path(f"{name}.py").write_text(code)
        assert cli.main(["grade", f"{name}:Thing"]) == 2
        captured = capsys.readouterr()
        assert (captured.out, captured.err.count("\n")) == ("", 1)
        assert "can be imported" in captured.err
