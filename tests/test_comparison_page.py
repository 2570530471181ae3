"""The pages of sweeps and of comparisons with a record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hostile import FORBIDDEN, HOSTILE
from html_page import Page

from sft_ref.cli.pages.record_pages import write_drift_page, write_verification_page
from sft_ref.cli.pages.sweep_pages import write_adapter_sweep_page, write_sweep_page
from sft_ref.sweep.adapter.figures import ChangedAnswer, WayFigures
from sft_ref.sweep.cell import Cell, CellVerdict
from sft_ref.witnessing.verifying.result import RecordDifference, Verification

ATTACK = f"<script>document.title='run'</script><img src=x onerror=alert(1)>{HOSTILE}"

SAME = Cell("fp32", "fp32", CellVerdict.SAME, parity=0.0, answer_rate=1.0, accuracy=0.9, answers=(1.0,), dtypes="fp32")
DRIFT = replace(SAME, load="bf16", verdict=CellVerdict.DRIFT, why="logits by up to 0.5", parity=0.5, changed_answers=1)
BROKEN = replace(SAME, load="fp16", verdict=CellVerdict.BROKEN, why="no answer is left", stage="generate")
NOT_RUN = Cell("fp32", "fp16", CellVerdict.NOT_RUN, why="fp16 needs CUDA")

CHANGED = ChangedAnswer(3, "how many?", 2, "24", "25", was_right=True, is_right=False)
WAYS = (
    WayFigures("fp32", CellVerdict.SAME, rows=4, parity=0.0),
    WayFigures("bf16", CellVerdict.DRIFT, "logits by up to 0.5", rows=4, parity=0.5, changed=(CHANGED,)),
)

MOVED = RecordDifference("precision", "logits differ by 0.3", "load in fp32", 0.3)
FOUND = Verification((MOVED,), ("artifact", "precision"), {"logits": 0.3}, ("no template was recorded",))
SOUND = Verification((), ("artifact", "load"), {"logits": 0.0})


def page_of(path: Path) -> Page:
    text = path.read_text(encoding="utf-8")
    assert not FORBIDDEN.search(text)
    return Page(text)


def states(page: Page) -> list[str | None]:
    """The state of each part of the strip, as its colour shows it."""
    return [each.get("class") for each in page.all("li") if each.get("class")]


@pytest.mark.parametrize(
    ("cells", "word"),
    [
        ([SAME], "same"),
        ([SAME, NOT_RUN], "same"),
        ([SAME, DRIFT, NOT_RUN], "drift"),
        ([SAME, DRIFT, BROKEN], "broken"),
        ([NOT_RUN], "not run"),
    ],
)
def test_a_sweep_has_the_verdict_of_its_worst_cell(cells: list[Cell], word: str, tmp_path: Path) -> None:
    write_sweep_page(cells, tmp_path / "page.html", title="toy on cpu")
    page = page_of(tmp_path / "page.html")
    assert page.says(f"toy on cpu: {word} - sft-ref")
    for cell in cells:
        assert page.says(cell.why)


def test_a_sweep_shows_the_matrix_and_its_figures(tmp_path: Path) -> None:
    write_sweep_page([SAME, DRIFT, BROKEN], tmp_path / "page.html", title="toy")
    page = page_of(tmp_path / "page.html")
    assert page.says("logits equal answers 100%, right 90%")
    assert page.says("logits ±0.5 answers 100%, right 90% 1 of 1 changed")
    assert page.says("broken: generate")
    assert page.says("1 broken, 1 drift, 1 same")


def test_the_sweep_of_an_adapter_shows_the_answers_that_change(tmp_path: Path) -> None:
    write_adapter_sweep_page(WAYS, tmp_path / "page.html", title="my adapter")
    page = page_of(tmp_path / "page.html")
    assert page.says("my adapter: drift")
    assert states(page) == ["cleared", "contract-broken"]
    assert page.says("3 how many? 2 24 right 25")


def test_a_comparison_with_a_record_shows_what_differs_what_does_not_and_what_was_not_compared(tmp_path: Path) -> None:
    write_verification_page(FOUND, tmp_path / "page.html", title="my adapter")
    page = page_of(tmp_path / "page.html")
    assert page.says("my adapter: differs")
    assert states(page) == ["cleared", *["not-examined"] * 4, "at-fault"]
    assert page.says("Difference logits differ by 0.3 Remedy load in fp32")
    assert page.says("no template was recorded")
    write_verification_page(SOUND, tmp_path / "page.html", title="m at URL", word="trained model")
    assert page_of(tmp_path / "page.html").says("m at URL: trained model")


@pytest.mark.parametrize(
    ("found", "word"),
    [
        ({"fp32": SOUND, "bf16": FOUND, "fp16": "needs CUDA"}, "differs"),
        ({"fp32": SOUND, "fp16": "needs CUDA"}, "not run"),
        ({"fp32": SOUND}, "as recorded"),
    ],
)
def test_the_page_of_drift_says_what_its_exit_code_says(
    found: dict[str, Verification | str], word: str, tmp_path: Path
) -> None:
    write_drift_page(found, tmp_path / "page.html", title="my adapter")
    page = page_of(tmp_path / "page.html")
    assert page.says(f"my adapter: {word}")
    for way, each in found.items():
        assert page.says(f"{way} not run {each}" if isinstance(each, str) else way)


def test_foreign_text_stays_text(tmp_path: Path) -> None:
    found = Verification((RecordDifference("load", ATTACK, ATTACK),), (), {ATTACK: 1.0}, (ATTACK,))
    write_verification_page(found, tmp_path / "record.html", title=ATTACK, word=ATTACK)
    write_drift_page({ATTACK: ATTACK, "x": found}, tmp_path / "drift.html", title=ATTACK)
    write_sweep_page([replace(DRIFT, why=ATTACK, dtypes=ATTACK)], tmp_path / "sweep.html", title=ATTACK)
    answer = ChangedAnswer(1, ATTACK, 1, ATTACK, ATTACK, was_right=False, is_right=False)
    ways = [replace(WAYS[1], why=ATTACK, changed=(answer,))]
    write_adapter_sweep_page(ways, tmp_path / "ways.html", title=ATTACK)
    for name in ("record", "drift", "sweep", "ways"):
        page = page_of(tmp_path / f"{name}.html")
        assert len(page.all("script")) == 1
        assert not page.all("img")
        assert page.says("onerror")
