"""Shows a sweep in the terminal."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sft_ref.console.printable import printable

from .cell import Cell, CellVerdict

COLORS = {CellVerdict.SAME: "green", CellVerdict.DRIFT: "yellow", CellVerdict.BROKEN: "red", CellVerdict.NOT_RUN: "dim"}

_UNLIMITED = 1000


def show(cells: Sequence[Cell]) -> None:
    """Prints a line for each pair of policies, the reason for each difference, and the meaning of the columns."""
    table = Table(title="trained under, loaded under", box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False)
    for name in ("train", "load", "verdict", "dtypes", "finite"):
        table.add_column(name, no_wrap=True)
    for name in ("parity", "top-1", "loss", "answers", "accuracy", "tokens/s", "MiB"):
        table.add_column(name, justify="right", no_wrap=True)
    rows = [list(row) for _, row in itertools.groupby(cells, key=lambda cell: cell.train)]
    for row in rows:
        for cell in row if _ran(row) else row[:1]:
            table.add_row(cell.train if cell is row[0] else "", cell.load if _ran(row) else "any", *_cells(cell))
        table.add_section()
    console = wide_console(table)
    console.print(table)
    for row in rows:
        for cell in row if _ran(row) else row[:1]:
            if cell.why:
                label = f"{cell.train} → {cell.load if _ran(row) else 'any'}"
                colored = f"[{COLORS[cell.verdict]}]{cell.verdict}[/]"
                console.print(f"{label:<24} {colored}: {escape(printable(cell.why))}", soft_wrap=True)
    console.print(
        "\ndtypes: base/adapter/Linear products. parity: largest difference of a logit from the model in memory when"
        " training ended.\ntop-1: same first choice, or too close to call. loss: of the true answer, nat per token."
        " answers: answer_rate.\nMiB: peak while the cell ran, above what was taken before; on CUDA of torch's"
        " allocator, else of the resident process.",
        style="dim",
    )


def wide_console(table: Table) -> Console:
    """Returns a console wide enough for a table, so that a narrow terminal wraps its lines and no text is lost."""
    width = Console(width=_UNLIMITED).measure(table).maximum
    return Console(width=max(Console().width, width), highlight=False)


def _ran(row: Sequence[Cell]) -> bool:
    """Returns whether the cells of a train policy differ, or all are `SAME`."""
    return len({(cell.verdict, cell.why) for cell in row}) > 1 or row[0].verdict is CellVerdict.SAME


def _cells(cell: Cell) -> tuple[str, ...]:
    verdict = f"[{COLORS[cell.verdict]}]{cell.verdict}{f' ({cell.stage})' if cell.stage else ''}[/]"
    if cell.verdict is CellVerdict.NOT_RUN:
        return (verdict,)
    return (
        verdict,
        escape(printable(cell.dtypes)),
        {True: "yes", False: "[red]no[/]", None: ""}[cell.finite],
        number(cell.parity, ".2g"),
        number(cell.top1, ".1%"),
        number(cell.loss, ".3f"),
        number(cell.answer_rate, ".2f"),
        number(cell.accuracy, ".2f"),
        number(cell.tokens_per_second, ".0f"),
        number(cell.peak_memory_mib, ".0f"),
    )


def number(value: float | None, form: str) -> str:
    """Formats a figure; empty if there is none."""
    return "" if value is None else format(value, form)
