"""Each outcome is told in JUnit's words by the rule that is stated."""

from pathlib import Path

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped

from sft_ref.errors import OutputError
from sft_ref.harness.core.check import Outcome, Result, check
from sft_ref.harness.report.junit import write_junit

CHECK = check("TOK-001", "a <b> is & stays", why="a reason", remedy="a cure")(lambda context: None)


def result(outcome: Outcome, seen: str = "") -> Result:
    return Result(CHECK, outcome, 1.5, observed=seen, expected="2", example="a case", rerun="a command")


@pytest.mark.parametrize(
    ("outcome", "kind", "message"),
    [
        (Outcome.PASS, None, ""),
        (Outcome.ADVICE, None, ""),
        (Outcome.FAIL, Failure, "observed: 3 < 4; expected: 2"),
        (Outcome.ERROR, Error, "3 < 4"),
        (Outcome.SKIPPED, Skipped, "skipped: 3 < 4"),
        (Outcome.BLOCKED, Skipped, "blocked: 3 < 4"),
    ],
)
def test_an_outcome_has_one_word_in_junit(
    outcome: Outcome, kind: type[Failure] | type[Error] | type[Skipped] | None, message: str, tmp_path: Path
) -> None:
    write_junit({"mine": [result(outcome, "3 < 4")]}, tmp_path / "report.xml")
    [suite] = JUnitXml.fromfile(str(tmp_path / "report.xml"))
    [case] = suite
    assert (case.name, case.classname, case.time) == ("TOK-001: a <b> is & stays", "mine.tokens", 1.5)
    assert [(type(each), each.message) for each in case.result] == ([(kind, message)] if kind else [])
    assert case.system_out == ("3 < 4" if outcome is Outcome.ADVICE else None)


def test_a_failure_carries_all_that_is_known(tmp_path: Path) -> None:
    write_junit({"mine": [result(Outcome.FAIL, "3")]}, tmp_path / "report.xml")
    text = (tmp_path / "report.xml").read_text(encoding="utf-8")
    assert "example: a case\nwhy: a reason\nremedy: a cure\nrerun: a command" in text


def test_many_implementations_are_suites_of_one_report_with_their_counts(tmp_path: Path) -> None:
    results = {"one": [result(Outcome.PASS), result(Outcome.FAIL)], "other": [result(Outcome.ERROR)], "none": []}
    write_junit(results, tmp_path / "report.xml")
    report = JUnitXml.fromfile(str(tmp_path / "report.xml"))
    assert [(suite.name, suite.tests, suite.failures, suite.errors) for suite in report] == [
        ("one", 2, 1, 0),
        ("other", 1, 0, 1),
        ("none", 0, 0, 0),
    ]
    assert (report.tests, report.failures, report.errors) == (3, 1, 1)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="nowhere"):
        write_junit({}, tmp_path / "nowhere" / "report.xml")


def test_characters_that_xml_cannot_hold_do_not_break_the_report(tmp_path: Path) -> None:
    write_junit({"mine": [result(Outcome.FAIL, "a\x00b\x1b[31m\ud800")]}, tmp_path / "report.xml")
    [[case]] = JUnitXml.fromfile(str(tmp_path / "report.xml"))
    assert case.result[0].message == r"observed: a\x00b\x1b[31m\ud800; expected: 2"
