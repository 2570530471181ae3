"""The page of a report: what it says, that it fetches nothing, and that foreign text in it stays text."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from graders import BROKEN, DRIFT, NOT_SHOWN, SOUND
from hostile import FORBIDDEN, HOSTILE, hostile
from html_page import Page

from sft_ref.harness.core.grade import HARNESS_ERROR, Grade, NotGraded
from sft_ref.harness.core.verdict import Swap
from sft_ref.harness.report.page.write import write_html

SWAPS = (Swap("as submitted", 0, 64), Swap("the reference", 60, 64))
MEASURED = replace(BROKEN, losses=(3.0, 1.0, 0.5), swaps=SWAPS)


def page_of(tmp_path: Path, *grades: Grade) -> Page:
    write_html(grades, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert not FORBIDDEN.search(text)
    return Page(text)


def test_a_broken_submission_has_its_stages_cause_evidence_example_remedy_and_swaps(tmp_path: Path) -> None:
    page = page_of(tmp_path, MEASURED)
    for text in (
        "broken alice.zip",
        "At fault: parse",
        "Contract broken, no answer lost: load",
        "0 of 64 answers read by its parser",
        "6000.0</answer> → nan",
        "Let the parser take the text",
        "64 of 64 prompts begin their training text",
        "as submitted 0 of 64",
        "the reference 60 of 64",
        "answer_rate 0.00, accuracy 0.00",
        "1 of 4 passed; blocked by checks that did not pass: SCR-001",
        "Observed: nan; expected: 6000.0",
    ):
        assert page.says(text), text
    assert [(each["value"], each["max"]) for each in page.all("meter")] == [("0", "64"), ("60", "64")]
    states = [each["class"] for each in page.all("li") if each.get("class")]
    assert {"at-fault", "contract-broken", "cleared", "not-examined"} == set(states)
    assert len([each for each in page.all("svg") if "3 forward passes" in str(each["aria-label"])]) == 1


def test_a_class_has_a_row_and_a_report_for_each_target_and_a_chart_of_causes(tmp_path: Path) -> None:
    grades = (SOUND, BROKEN, DRIFT, NOT_SHOWN, NotGraded("dave", "it died", HARNESS_ERROR))
    page = page_of(tmp_path, *grades)
    assert page.says("1 sound 1 not shown 1 drift 1 broken 1 not graded")
    rows = [each for each in page.all("tr") if "data-verdict" in each]
    assert [each["data-verdict"] for each in rows] == ["sound", "broken", "drift", "not shown", "not graded"]
    assert [each["data-stages"] for each in rows] == ["", "parse", "load", "", ""]
    links = {str(each["href"]) for each in page.all("a")}
    assert links == {f"#target-{n + 1}" for n in range(len(grades))} | {"#all"}
    assert len(page.all("details")) == len(grades)
    assert page.says("It could not be graded. This says nothing about the target.")
    [chart] = page.all("svg")
    assert "most frequent causes" in str(chart["aria-label"])


@pytest.mark.parametrize("single", [True, False], ids=["one target", "a class"])
def test_foreign_text_adds_no_element_and_no_attribute(tmp_path: Path, *, single: bool) -> None:
    harmless = replace(hostile(), losses=(2.0, 1.0), swaps=(Swap(HOSTILE, 1, 2),))
    page = page_of(tmp_path, *([harmless] if single else [harmless, SOUND, NotGraded(HOSTILE, HOSTILE, HARNESS_ERROR)]))
    assert page.says("<script>alert(1)</script>")
    assert len(page.all("script")) == 1
    for tag in ("img", "iframe", "object", "embed", "link", "base", "form", "image", "foreignobject"):
        assert not page.all(tag)
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("href", "xlink:href", "src"):
            assert str(attributes.get(name, "#")).startswith("#"), tag


def test_the_policy_forbids_everything_but_the_pages_own_script_and_styles(tmp_path: Path) -> None:
    page = page_of(tmp_path, SOUND)
    [policy] = [str(each["content"]) for each in page.all("meta") if "http-equiv" in each]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-")
    assert policy.endswith("base-uri 'none'; form-action 'none'")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://(?!www\.w3\.org/)", text)


@pytest.mark.slow
def test_a_class_of_a_thousand_is_written_in_seconds_without_a_curve_each(tmp_path: Path) -> None:
    grades = [replace(MEASURED, path=f"student {n}") for n in range(1000)]
    page = page_of(tmp_path, *grades)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert len(page.all("details")) == 1000
    assert not page.says("Swap experiments")  # the reports are text until they are opened
    [stored] = re.findall(r'<script type="application/json" id="reports">(.*?)</script>', text)
    reports = json.loads(stored)
    assert len(reports) == 1000
    assert all(Page(report).says("as submitted 0 of 64") for report in reports[::100])
    assert len(page.all("svg")) == 1
    assert (tmp_path / "page.html").stat().st_size < 10_000_000
