"""The HTML pages of a sweep over policies, and of a sweep over the ways to load one adapter."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from sft_ref.harness.report.page.comparison import ComparisonPage, PageSection, PageTable, TableCell, write_comparison
from sft_ref.sweep.adapter.figures import ChangedAnswer, WayFigures
from sft_ref.sweep.cell import Cell, CellVerdict
from sft_ref.sweep.terminal import number

_KINDS = {
    CellVerdict.SAME: "pass",
    CellVerdict.DRIFT: "drift",
    CellVerdict.BROKEN: "fail",
    CellVerdict.NOT_RUN: "skipped",
}
_SECTIONS = {CellVerdict.DRIFT: "drift", CellVerdict.BROKEN: "broken"}
_MEANING = {
    CellVerdict.SAME: "Every logit is the same, bit for bit, and so are the dtypes.",
    CellVerdict.DRIFT: "Numbers move, and no answer is lost.",
    CellVerdict.BROKEN: "At least one combination loses answers, or computes numbers that are not finite.",
    CellVerdict.NOT_RUN: "Nothing could be run on this machine.",
}


def write_sweep_page(cells: Sequence[Cell], path: Path, *, title: str) -> None:
    """Writes the matrix of policies, then the figures of each cell.

    Raises:
        OutputError: the file cannot be written.
    """
    rows = [list(row) for _, row in itertools.groupby(cells, key=lambda cell: cell.train)]
    loads = list(dict.fromkeys(cell.load for cell in cells))
    matrix = []
    for row in rows:
        by_load = {cell.load: cell for cell in row}
        matrix.append((row[0].train, [_square(by_load[load]) if load in by_load else TableCell("") for load in loads]))
    sections = [
        PageSection("Trained under, loaded under", table=PageTable("A row for each training", ["", *loads], matrix))
    ]
    columns = ("", "Loaded under", "Dtypes", "Logits", "Top-1", "Loss", "Answers", "Accuracy", "Tokens/s", "MiB")
    figures = [
        (
            cell.train,
            (
                TableCell(cell.load),
                TableCell(cell.dtypes),
                *_numbers((cell.parity, ".2g"), (cell.top1, ".1%"), (cell.loss, ".3f"), (cell.answer_rate, ".2f")),
                *_numbers((cell.accuracy, ".2f"), (cell.tokens_per_second, ".0f"), (cell.peak_memory_mib, ".0f")),
            ),
        )
        for cell in cells
        if cell.verdict is not CellVerdict.NOT_RUN
    ]
    legend = (
        "dtypes: of base, adapter and Linear products; logits: largest difference from the model when training ended;"
        " top-1: same first choice, or too close to call; loss: of the true answer, nat per token"
    )
    sections.append(PageSection("Figures", table=PageTable(legend, columns, figures)))
    reasons = [(f"{cell.train} → {cell.load}", cell.why) for cell in cells if cell.why]
    sections.append(PageSection("Reasons", facts=reasons))
    _write(title, [cell.verdict for cell in cells], (), sections, path)


def write_adapter_sweep_page(ways: Sequence[WayFigures], path: Path, *, title: str) -> None:
    """Writes a row for each way to load, then the answers that it changes.

    Raises:
        OutputError: the file cannot be written.
    """
    columns = ("", "Verdict", "Dtypes", "Logits", "Divergence", "Top-1", "Loss", "Right", "Changed")
    rows = [
        (
            way.load,
            (
                _badge(way.verdict),
                TableCell(way.dtypes),
                *_numbers((way.parity, ".2g"), (way.divergence, ".2g"), (way.top1, ".1%"), (way.loss, ".3f")),
                *_numbers((way.right, ".0%")),
                TableCell(f"{len(way.changed)} of {way.rows}" if way.rows else "", is_number=True),
            ),
        )
        for way in ways
    ]
    legend = (
        f"Each way to load, compared with {ways[0].load}. Logits: largest difference; divergence: mean Kullback-Leibler"
        " divergence, nat per token; top-1: same first choice, or too close to call; loss: of the true answers, nat per"
        " token"
    )
    sections = [PageSection("Figures", table=PageTable(legend, columns, rows))]
    for way in ways:
        if way.why:
            table = PageTable("Answers that change", _CHANGED, [*map(_changed, way.changed)]) if way.changed else None
            sections.append(
                PageSection(way.load, _SECTIONS.get(way.verdict, ""), facts=[(str(way.verdict), way.why)], table=table)
            )
    colors = {
        CellVerdict.SAME: "cleared",
        CellVerdict.DRIFT: "contract-broken",
        CellVerdict.BROKEN: "at-fault",
        CellVerdict.NOT_RUN: "not-examined",
    }
    strip = [(way.load, str(way.verdict), colors[way.verdict]) for way in ways]
    _write(title, [way.verdict for way in ways], strip, sections, path)


_CHANGED = ("Row", "Question", "From token", "Before", "Now")


def _changed(answer: ChangedAnswer) -> tuple[str, tuple[TableCell, ...]]:
    was, now = (("right",) if right else () for right in (answer.was_right, answer.is_right))
    return str(answer.row), (
        TableCell(answer.question),
        TableCell(str(answer.token), is_number=True),
        TableCell(answer.before, lines=was),
        TableCell(answer.after, lines=now),
    )


def _numbers(*figures: tuple[float | None, str]) -> tuple[TableCell, ...]:
    """Returns a table cell for each figure, rendered in its format."""
    return tuple(TableCell(number(value, form), is_number=True) for value, form in figures)


def _badge(verdict: CellVerdict) -> TableCell:
    return TableCell(str(verdict), _KINDS[verdict])


def _square(cell: Cell) -> TableCell:
    word = f"broken: {cell.stage}" if cell.stage else str(cell.verdict)
    lines = []
    if cell.parity is not None:
        lines.append("logits equal" if cell.parity == 0 else f"logits ±{cell.parity:.2g}")
    if cell.answer_rate is not None and cell.accuracy is not None:
        lines.append(f"answers {cell.answer_rate:.0%}, right {cell.accuracy:.0%}")
    if cell.changed_answers is not None:
        lines.append(f"{cell.changed_answers} of {len(cell.answers)} changed")
    return TableCell(word, _KINDS[cell.verdict], tuple(lines))


def _write(
    title: str,
    verdicts: Sequence[CellVerdict],
    strip: Sequence[tuple[str, str, str]],
    sections: Sequence[PageSection],
    path: Path,
) -> None:
    """Writes a page whose verdict is the worst of its cells; `NOT_RUN` decides only if no cell was run."""
    order = (CellVerdict.BROKEN, CellVerdict.DRIFT, CellVerdict.SAME, CellVerdict.NOT_RUN)
    worst = next(each for each in order if each in verdicts)
    counts = Counter(verdicts)
    meaning = f"{_MEANING[worst]} {', '.join(f'{counts[each]} {each}' for each in order if counts[each])}."
    write_comparison(ComparisonPage(title, str(worst), _KINDS[worst], meaning, strip, sections), path)
