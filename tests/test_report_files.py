"""Reports that other programs read."""

import csv
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from graders import BROKEN, DRIFT, NOT_SHOWN, SOUND, result
from hypothesis import given
from hypothesis import strategies as st

from sft_ref import SftRefError
from sft_ref.errors import OutputError
from sft_ref.harness.checks.registry import IDS
from sft_ref.harness.core.check import Outcome
from sft_ref.harness.core.grade import BAD_INPUT, HARNESS_ERROR, Grade, NotGraded
from sft_ref.harness.core.verdict import Suspect, Verdict
from sft_ref.harness.report.causes import count_causes
from sft_ref.harness.report.chart import plot_causes
from sft_ref.harness.report.files import COLUMNS, as_json, from_json, write_csv, write_json
from sft_ref.harness.report.gradescope import as_gradescope, write_gradescope
from sft_ref.harness.report.rubric import DEFAULT, read_rubric
from sft_ref.io.atomic_write import check_writable, write_atomic
from sft_ref.io.strict_json import to_text

UNGRADED = NotGraded("eve.zip", "no zip", BAD_INPUT)


def strict(text: str) -> list[dict[str, object]]:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    rows: list[dict[str, object]] = json.loads(text, parse_constant=refuse)
    return rows


def test_json_is_a_list_with_an_object_a_submission_as_documented(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    write_json([BROKEN, SOUND, UNGRADED], tmp_path / "results.json")
    broken, sound, ungraded = strict((tmp_path / "results.json").read_text())
    assert broken["verdict"] == "broken"
    assert broken["stages"] == ["parse"]
    assert (sound["verdict"], sound["stages"], sound["remedy"]) == ("sound", [], "")
    assert (ungraded["verdict"], ungraded["exit_code"]) == (None, 2)
    schema = (pytestconfig.rootpath / "docs" / "results.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`.*?) \|", schema, flags=re.MULTILINE))))
    assert broken.keys() | ungraded.keys() <= documented
    checks, suspects = broken["checks"], broken["suspects"]
    assert isinstance(checks, list)
    assert isinstance(suspects, list)
    for key in (*checks[0], *suspects[0]):
        assert f"`{key}`" in schema


def test_nan_never_reaches_json(tmp_path: Path) -> None:
    odd = replace(BROKEN, answer_rate=math.nan, accuracy=math.inf, seconds=math.nan, cause="\ud800 nan \x00")
    write_json([odd], tmp_path / "results.json")
    [row] = strict((tmp_path / "results.json").read_text())
    assert (row["answer_rate"], row["accuracy"], row["seconds"]) == (None, None, None)
    assert row["cause"] == "\ufffd nan \x00"
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_text([math.nan])


@pytest.mark.parametrize("grade", [SOUND, DRIFT, BROKEN, UNGRADED])
def test_a_grade_comes_back_from_json(grade: Grade) -> None:
    back = from_json(json.loads(to_text(as_json(grade))))
    assert as_json(back) == as_json(grade)
    if isinstance(grade, Verdict):
        assert isinstance(back, Verdict)
        assert replace(back, results=()) == replace(grade, results=())


@given(st.text(st.characters()))
def test_any_text_of_a_submission_comes_back(text: str) -> None:
    suspect = Suspect("load", text, (text,), text, text)
    grade = replace(BROKEN, path=text, suspects=(suspect,), cause=text, cleared={"load": text}, notes=(text,))
    row = as_json(grade)
    assert as_json(from_json(json.loads(to_text(row)))) == row


def test_the_table_has_a_line_a_submission_and_no_formula(tmp_path: Path) -> None:
    hostile = replace(BROKEN, path='=HYPERLINK("http://example.org")', cause="-1+1\n\x1b[2J,\"'")
    write_csv([hostile, SOUND, UNGRADED], tmp_path / "grades.csv")
    with (tmp_path / "grades.csv").open(newline="", encoding="utf-8") as file:
        head, first, second, third = csv.reader(file)
    assert tuple(head) == COLUMNS
    assert first[0].startswith("'=")
    assert first[4] == "'-1+1 \\x1b[2J,\"'"
    assert second[:2] == ["bob", "sound"]
    assert second[3] == ""
    assert (third[1], third[-1]) == ("", "no zip")


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "results.json"
    write_atomic(path, "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["results.json"]


def test_a_place_that_cannot_be_written_is_found_before_grading(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none" / "x.json"):
        with pytest.raises(OutputError, match="cannot write"):
            check_writable(path)
    check_writable(tmp_path / "x.json")


def points(verdict: Verdict) -> dict[str, float]:
    return {test["name"]: test["score"] for test in as_gradescope(verdict, read_rubric())["tests"]}


def test_by_the_default_rubric_a_sound_submission_gets_all_points() -> None:
    results = as_gradescope(SOUND, read_rubric())
    assert results["score"] == read_rubric().total == sum(test["max_score"] for test in results["tests"])
    assert {test["status"] for test in results["tests"]} == {"passed"}


def test_a_broken_submission_gets_points_for_the_stages_that_are_cleared() -> None:
    found = points(BROKEN)
    assert found.pop("verdict") == 0
    assert {name for name, score in found.items() if score} == {"stage: prompt", "stage: train"}


def test_a_drifting_submission_loses_what_the_rubric_says_and_the_stage() -> None:
    found = points(DRIFT)
    assert found["verdict"] == 50
    assert [name for name, score in found.items() if not score] == ["stage: load"]


def test_gradescope_is_given_what_it_documents(tmp_path: Path) -> None:
    write_gradescope(BROKEN, read_rubric(), tmp_path / "results.json")
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["score"] == sum(test["score"] for test in results["tests"])
    assert results["visibility"] in {"hidden", "after_due_date", "after_published", "visible"}
    assert isinstance(results["execution_time"], int)
    assert "BROKEN" in results["output"]
    assert results["output_format"] == "text"
    for test in results["tests"]:
        assert test.keys() == {"name", "score", "max_score", "status", "output"}
        assert 0 <= test["score"] <= test["max_score"]
        assert test["status"] in {"passed", "failed"}


def test_what_was_not_shown_gives_no_points() -> None:
    found = points(NOT_SHOWN)
    assert found["verdict"] == 0
    assert [name for name, score in found.items() if score] == ["stage: load"]
    outputs = {test["name"]: test["output"] for test in as_gradescope(NOT_SHOWN, read_rubric())["tests"]}
    assert outputs["stage: prompt"] == "Not examined: no --prompt was given."
    assert outputs["stage: tokens"] == "Not examined for this kind of target."


def test_a_check_gives_points_only_where_it_passes(tmp_path: Path) -> None:
    rubric = tmp_path / "rubric.toml"
    rubric.write_text("total = 4\n[checks]\nPRM-001 = 1\nLOD-001 = 1\nPRS-001 = 1\nSCR-001 = 1\n")
    tests = as_gradescope(BROKEN, read_rubric(rubric, lambda: IDS))["tests"]
    assert [test["score"] for test in tests] == [1, 0, 0, 0]  # passed, skipped, failed, blocked
    assert "did not finish gives no points" in tests[1]["output"]
    assert "was not run" in as_gradescope(SOUND, read_rubric(rubric, lambda: IDS))["tests"][0]["output"]


def test_bad_input_is_0_points_with_the_reason_and_a_harness_error_gives_no_points_at_all(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write_gradescope(UNGRADED, read_rubric(), path)
    assert json.loads(path.read_text())["score"] == 0
    assert "no zip" in json.loads(path.read_text())["output"]
    write_gradescope(NotGraded("x", "it died", HARNESS_ERROR), read_rubric(), path)
    assert not path.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("total = ", "it is not valid TOML"),
        ("total = 5", "total is 5, but the parts add up to 0"),
        ("[stages]\nload = 5", "total is None"),
        ("total = 0", "above 0"),
        ("total = 5\n[stage]\nload = 5", "stage is not a part of a rubric"),
        ("total = 5\n[stages]\nlaod = 5", "stages cannot contain 'laod'; give artifact"),
        ("total = 5\n[stages]\nload = -5", "stages.load is -5"),
        ("total = 5\n[stages]\nload = true", "stages.load is True"),
        ("total = nan\n[stages]\nload = nan", "stages.load is nan"),
        ("total = 5\nstages = 5", "stages is 5"),
        ("total = 5\n[verdict]\nfine = 5", "verdict cannot contain 'fine'"),
        ("total = 5\n[checks]\nXYZ-001 = 5", "checks cannot contain 'XYZ-001'"),
        ("total = 5\nvisibility = 'never'\n[stages]\nload = 5", "visibility is 'never'"),
        ("total = 5\nlimits = 5\n[stages]\nload = 5", "limits is 5"),
        ("total = 5\n[limits]\nadapter = 'large'\n[stages]\nload = 5", "[limits] cannot be read"),
    ],
)
def test_a_bad_rubric_is_one_clear_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "rubric.toml"
    path.write_text(text)
    with pytest.raises(SftRefError, match=re.escape(message)) as error:
        read_rubric(path, lambda: IDS)
    assert str(path) in str(error.value)
    with pytest.raises(SftRefError, match="cannot be read"):
        read_rubric(tmp_path / "none.toml")
    assert DEFAULT.is_file()


def test_causes_are_counted_by_check_and_the_most_frequent_comes_first() -> None:
    def at(path: str, *causes: tuple[str, str]) -> Verdict:
        suspects = tuple(
            Suspect(stage, cause, (), "", check="PRS-001" if stage == "parse" else "LOD-001") for stage, cause in causes
        )
        return replace(BROKEN, path=path, suspects=suspects)

    grades: list[Grade] = [
        at("a", ("parse", "reads 3 of 64"), ("load", "reads 3 of 64")),
        at("b", ("parse", "reads none, as 'x' shows")),
        SOUND,
        UNGRADED,
    ]
    causes = count_causes(grades)
    assert [(each.stage, each.check, each.cause, each.paths) for each in causes] == [
        ("parse", "PRS-001", "reads 3 of 64", ("a", "b")),
        ("load", "LOD-001", "reads 3 of 64", ("a",)),
    ]


def test_the_picture_of_a_class_is_drawn_whatever_a_cause_holds(tmp_path: Path) -> None:
    odd = [
        replace(BROKEN, suspects=(Suspect("load", f"$\\frac{{$ \x1b 漢字 {'x' * 300}", (), "", check=f"LOD-{number}"),))
        for number in range(4)
    ] * 5
    plot_causes(count_causes(odd), len(odd), tmp_path / "causes.png")
    assert (tmp_path / "causes.png").read_bytes().startswith(b"\x89PNG")


def test_a_result_that_was_read_cannot_be_run() -> None:
    back = from_json(as_json(replace(SOUND, results=(result("LOD-001", Outcome.PASS),))))
    assert isinstance(back, Verdict)
    with pytest.raises(TypeError, match="cannot be run"):
        back.results[0].check.run(None)
