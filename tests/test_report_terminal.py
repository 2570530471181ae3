"""The report that a person reads."""

import io
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from graders import BROKEN, DRIFT, NOT_SHOWN, SOUND, result
from hostile import FORBIDDEN, HOSTILE, hostile
from hypothesis import given, settings
from hypothesis import strategies as st
from picture import draw_demo, draw_report
from rich.console import Console

from sft_ref.cli import main as cli
from sft_ref.cli.terminal import show_samples
from sft_ref.console.printable import LONGEST, printable
from sft_ref.harness.core.check import Check, Outcome
from sft_ref.harness.core.grade import BAD_INPUT, HARNESS_ERROR, Grade, NotGraded, exit_code
from sft_ref.harness.core.verdict import Verdict
from sft_ref.harness.report.classroom import show_class, show_row
from sft_ref.harness.report.files import write_csv
from sft_ref.harness.report.gradescope import as_gradescope
from sft_ref.harness.report.page.write import write_html
from sft_ref.harness.report.rubric import Rubric
from sft_ref.harness.report.terminal import show_grade
from sft_ref.reference.record import RECORD
from sft_ref.reference.sft import Sample


def shown(show: Callable[[Console], None], width: int = 90) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None, legacy_windows=False)
    with console.capture() as capture:
        show(console)
    return capture.get()


def report(grade: Grade, width: int = 90) -> str:
    return shown(lambda console: show_grade(grade, console), width)


def test_the_verdict_comes_first_then_what_breaks_then_what_drifts_then_what_is_cleared_and_the_checks() -> None:
    text = report(BROKEN)
    parts = [
        "BROKEN",
        "alice.zip",
        "answer_rate 0.00, accuracy 0.00",
        "not sandboxed",
        "\nAt fault: parse",
        "the prompt consumes <answer>",
        "0 of 64 answers read by its parser",
        "6000.0</answer> → nan",
        "Let the parser take the text",
        "Contract broken, no answer lost: load",
        "Cleared",
        "64 of 64 prompts",
        "Notes",
        "supplied from outside",
        "Checks",
        "1 of 4 passed: prompt 1",
        "blocked by checks that did not pass: SCR-001",
        "observed: nan; expected: 6000.0",
        "rerun: sft-ref grade alice.zip --only PRS-001",
    ]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert "PRM-001" not in text  # what passed in full is counted, not listed


def test_a_sound_and_a_drifting_submission_are_told_so() -> None:
    assert "SOUND" in report(SOUND)
    assert "At fault" not in report(SOUND)
    assert "not sandboxed" not in report(SOUND)
    assert "Examined: prompt, tokens, train, artifact, load, generate, parse, score." in " ".join(report(SOUND).split())
    assert "adapter 1.2 MB" in report(SOUND)
    assert "No fault was found that loses answers" in report(DRIFT)


def test_the_headline_says_what_was_not_examined_and_why() -> None:
    text = " ".join(report(NOT_SHOWN, width=100).replace("│", " ").split())
    assert "NOT SHOWN" in text
    assert (
        "Examined: load. Not examined: scaling, base identity (no --data was given); prompt (no --prompt was given)."
    ) in text


def test_what_the_harness_broke_is_not_blamed_on_the_submission() -> None:
    assert "says nothing about the target" in report(NotGraded("x", "it died", HARNESS_ERROR))
    assert "says nothing about the target" not in report(NotGraded("x", "no zip", BAD_INPUT))


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_report_is_at_most_as_wide_as_the_terminal_and_never_wider_than_is_read_easily(width: int) -> None:
    assert max(map(len, report(BROKEN, width).splitlines())) <= min(width, 100)


def test_what_a_submission_writes_reaches_the_terminal_as_visible_text_alone() -> None:
    for text in (
        report(hostile(), 500),
        report(NotGraded(HOSTILE, HOSTILE, BAD_INPUT)),
        shown(lambda console: show_row(hostile(), console)),
        shown(lambda console: show_class([hostile(), SOUND], console)),
    ):
        assert not FORBIDDEN.search(text)
        assert r"\x1b" in text
        text.encode()
    joined = " ".join(report(NotGraded("x", HOSTILE, BAD_INPUT)).replace("│", " ").split())
    for part in (
        "[bold green]SOUND[/]",
        "<script>alert(1)</script>",
        "[link=https://example.org]x[/link]",
        ":smile:",
        r"\[red]",
    ):
        assert part in joined


def test_no_line_of_a_submission_forges_a_line_of_the_report() -> None:
    box = printable("fine\n╭─ SOUND ─╮\r\n│ graded │\u2028\x85\x0b x")
    assert len(box.splitlines()) == 1


@given(st.text(st.characters(), max_size=80))
def test_harmless_text_is_one_line_without_controls(text: str) -> None:
    safe = printable(text)
    assert not FORBIDDEN.search(safe)
    assert len(safe.splitlines()) <= 1
    safe.encode()


NASTY = st.one_of(
    st.text(st.characters(), max_size=30),
    st.sampled_from([HOSTILE, "\x00" * 50, "x" * 10**6, "\u202e" * 10**6, "\x1b]8;;https://a.b\x1b\\x", "=1+1"]),
)


def with_texts(record: Any, draw: Callable[[], str]) -> Any:  # noqa: ANN401  # any dataclass, and what it holds
    """The same record with another text in every field, at any depth, that holds text."""
    if isinstance(record, Check):
        return replace(record, id=record.id[:3] + draw(), statement=draw(), why=draw(), remedy=draw())
    if isinstance(record, str) and type(record) is str:
        return draw()
    if isinstance(record, tuple):
        return tuple(with_texts(each, draw) for each in record)
    if isinstance(record, dict):
        return {draw(): with_texts(value, draw) for value in record.values()}
    if is_dataclass(record) and not isinstance(record, type):
        return replace(record, **{f.name: with_texts(getattr(record, f.name), draw) for f in fields(record)})
    return record


def strings(value: object) -> Iterator[str]:
    """All texts in a JSON value."""
    if isinstance(value, str):
        yield value
    for each in value.items() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        yield from strings(each)


@settings(max_examples=8)  # each puts some hundred texts into all reports, and draws a chart
@given(st.data(), st.sampled_from([BROKEN, NOT_SHOWN, DRIFT, NotGraded("a", "b", HARNESS_ERROR)]))
def test_no_field_reaches_a_person_other_than_as_harmless_text(data: st.DataObject, grade: Grade) -> None:
    if isinstance(grade, Verdict):
        grade = replace(grade, errors=("an error",), results=BROKEN.results)
    odd = with_texts(grade, lambda: data.draw(NASTY))
    with tempfile.TemporaryDirectory() as folder:
        write_html([odd, odd], Path(folder, "page.html"))
        write_csv([odd], Path(folder, "grades.csv"))
        files = [each.read_bytes().decode().replace("\r\n", "") for each in Path(folder).iterdir()]
    shown_texts = (
        report(odd),
        shown(lambda console: show_row(odd, console)),
        shown(lambda console: show_class([odd, SOUND], console)),
        *strings(as_gradescope(odd, Rubric({"sound": 1.0}, {"load": 1.0}, {"PRS-001": 1.0}, "visible"))),
        *files,
    )
    for text in shown_texts:
        assert not FORBIDDEN.search(text)
        assert len(text) < 200_000
        text.encode()


def test_what_a_model_writes_and_what_a_record_holds_reaches_the_terminal_as_harmless_text(
    toy_adapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    show_samples([Sample(HOSTILE, HOSTILE + "y" * 10**6, 1.0, 2.0, right=False)])
    copy = Path(shutil.copytree(toy_adapter, tmp_path / "adapter"))
    record = json.loads((copy / RECORD).read_text())
    record["computed"] = {HOSTILE: [HOSTILE]}
    (copy / RECORD).write_text(json.dumps(record))
    assert cli.main(["load", str(copy)]) == 0
    assert cli.main(["load", HOSTILE.replace("\x00", "").replace("\ud800", "")]) == 2
    assert cli.main(["checks", HOSTILE]) == 2
    captured = capsys.readouterr()
    for text in captured:
        assert r"\x1b[2J" in text
        assert not FORBIDDEN.search(text)
        assert len(text) < 20_000


def test_plain_text_stays_as_it_is_and_long_text_is_cut_and_counted() -> None:
    assert printable("How many µm are there per 6 km? → 6e9") == "How many µm are there per 6 km? → 6e9"
    assert printable("x" * (LONGEST + 7)).endswith("… (7 more characters)")


def test_the_picture_of_the_demo_begins_after_training_and_keeps_colors() -> None:
    picture = draw_demo("training 60/60\nthe first 10 of 100 questions\n\x1b[31mwrong\x1b[0m\n")
    assert "training" not in picture
    assert re.search(r'class="demo-r\d"[^>]*>wrong<', picture)


def test_the_picture_of_a_report_is_an_svg_without_scripts_or_links() -> None:
    picture = draw_report(hostile())
    assert picture.startswith("<svg")
    assert "<script" not in picture
    assert "<a " not in picture
    assert not FORBIDDEN.search(picture)


@pytest.mark.parametrize(
    ("grades", "code", "strict"),
    [
        ([], 0, 0),
        ([SOUND], 0, 0),
        ([SOUND, DRIFT], 0, 1),
        ([DRIFT, BROKEN], 1, 1),
        ([BROKEN, NotGraded("", "", BAD_INPUT)], 2, 2),
        ([NotGraded("", "", HARNESS_ERROR), NotGraded("", "", BAD_INPUT), BROKEN], 3, 3),
        ([replace(SOUND, results=(result("LOD-001", Outcome.ERROR),))], 3, 3),
        ([NOT_SHOWN, SOUND], 4, 4),
        ([NOT_SHOWN, BROKEN], 1, 1),
        ([replace(DRIFT, coverage=NOT_SHOWN.coverage)], 4, 1),
        ([replace(SOUND, coverage=())], 4, 4),
    ],
)
def test_the_exit_code_is_the_gravest(grades: list[Grade], code: int, strict: int) -> None:
    assert exit_code(grades) == code
    assert exit_code(grades, strict=True) == strict


@pytest.mark.parametrize(
    ("grade", "require", "code"),
    [
        (NOT_SHOWN, ["load"], 0),
        (NOT_SHOWN, ["load", "scaling"], 4),
        (SOUND, ["load"], 0),
        (SOUND, ["scaling"], 4),
        (BROKEN, ["prompt"], 1),
        (replace(NOT_SHOWN, results=(result("LOD-001", Outcome.ERROR),)), ["load"], 3),
    ],
)
def test_only_required_stages_must_be_shown(grade: Grade, require: list[str], code: int) -> None:
    assert exit_code([grade], require=require) == code
