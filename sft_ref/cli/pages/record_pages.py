"""The HTML pages of comparisons with the record of a training: of one model, and of several ways to load it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sft_ref.harness.report.page.comparison import ComparisonPage, PageSection, PageTable, TableCell, write_comparison

if TYPE_CHECKING:
    from sft_ref.witnessing.verifying.result import Kind, RecordDifference, Verification


def write_verification_page(found: Verification, path: Path, *, title: str, word: str = "") -> None:
    """Writes the kinds of differences as a strip, then each difference with its remedy.

    Args:
        found: the result of the comparison.
        path: file path of the page.
        title: name of the compared target.
        word: the verdict, if it is neither *as recorded* nor *differs*.

    Raises:
        OutputError: the file cannot be written.
    """
    sections = [*map(_section, found.differences), *_figures(found)]
    if found.notes:
        sections.append(PageSection("Notes", lines=found.notes))
    page = ComparisonPage(
        title,
        word or _word(found),
        "pass" if found.ok else "fail",
        "Compared with the record that the training left beside the adapter.",
        _strip(found),
        sections,
    )
    write_comparison(page, path)


def write_drift_page(found: Mapping[str, Verification | str], path: Path, *, title: str) -> None:
    """Writes a row for each way to load, then its differences from the record.

    Args:
        found: way to load -> its result, or why it was not run.
        path: file path of the page.
        title: name of the compared adapter.

    Raises:
        OutputError: the file cannot be written.
    """
    rows, sections = [], []
    for way, each in found.items():
        if isinstance(each, str):
            rows.append((way, (TableCell("not run", "skipped", (each,)), TableCell(""))))
            continue
        kinds = ", ".join(sorted(each.kinds))
        figures = tuple(f"{name}: {value:.3g}" for name, value in each.figures.items())
        rows.append(
            (way, (TableCell(_word(each), "pass" if each.ok else "fail"), TableCell(kinds or "nothing", lines=figures)))
        )
        sections += [_section(difference, f"{way}: ") for difference in each.differences]
        if each.notes:
            sections.append(PageSection(f"{way}: notes", lines=each.notes))
    table = PageTable("Each way to load, compared with the record", ("", "Verdict", "Differs in"), rows)
    moved = sum(not isinstance(each, str) and not each.ok for each in found.values())
    absent = sum(isinstance(each, str) for each in found.values())
    meaning = f"{moved} of {len(found)} ways differ from the record; {absent} were not run."
    word, kind = ("differs", "fail") if moved else ("not run", "skipped") if absent else ("as recorded", "pass")
    write_comparison(
        ComparisonPage(title, word, kind, meaning, (), [PageSection("Ways to load", table=table), *sections]), path
    )


def _word(found: Verification) -> str:
    return "as recorded" if found.ok else "differs"


def _strip(found: Verification) -> Sequence[tuple[Kind, str, str]]:
    """Returns each kind of difference, with whether it was compared and whether it differs."""
    from sft_ref.witnessing.verifying.result import KINDS

    def state(kind: Kind) -> tuple[str, str]:
        if kind in found.kinds:
            return "differs", "at-fault"
        return ("as recorded", "cleared") if kind in found.examined else ("not compared", "not-examined")

    return [(kind, *state(kind)) for kind in KINDS]


def _section(difference: RecordDifference, before: str = "") -> PageSection:
    return PageSection(
        f"{before}{difference.kind}", "broken", facts=[("Difference", difference.what), ("Remedy", difference.remedy)]
    )


def _figures(found: Verification) -> list[PageSection]:
    figures = [(name, f"{value:.3g}") for name, value in found.figures.items()]
    return [PageSection("Figures", facts=figures)] if figures else []
