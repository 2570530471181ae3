"""Shows the results of the peers as a table, as JSON and as a picture."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path

from contest import Result, median, pace
from rich.console import Console
from rich.table import Table


def show(results: Sequence[Result]) -> None:
    """Prints a table for each job, fastest first."""
    console = Console(width=150)
    for job in dict.fromkeys(result.entry.job for result in results):
        table = Table(title=job)
        for head in (
            "precision",
            "who",
            "seconds",
            "items/s",
            "÷ ours",
            "(from, to)",
            "of the products' limit",
            "of the memory's limit",
            "output",
        ):
            table.add_column(head, justify="left" if head in ("precision", "who", "output") else "right")
        done = [result for result in results if result.entry.job == job and result.seconds]
        for result in sorted(done, key=pace):
            entry, seconds, ratios = result.entry, median(result), result.ratios
            table.add_row(
                entry.precision,
                f"[bold]{entry.who}[/bold]" if entry.ours else entry.who,
                f"{seconds:.2f}",
                f"{entry.items / seconds:.1f}",
                f"{statistics.median(ratios):.2f}",
                f"{min(ratios):.2f}, {max(ratios):.2f}",
                f"{entry.products / seconds:.0%}",
                f"{entry.reading / seconds:.0%}",
                result.agreement,
            )
        console.print(table)
    for result in results:
        if result.error:
            console.print(f"left out: {result.entry.who} ({result.entry.precision}): {result.error}", markup=False)


def write_json(results: Sequence[Result], path: Path) -> None:
    """Writes a list of the results; `ratio_to_ours` is the median over rounds of its time per item divided by ours."""
    rows = [
        {
            "job": result.entry.job,
            "precision": result.entry.precision,
            "who": result.entry.who,
            "ours": result.entry.ours,
            "seconds": median(result),
            "items_per_second": result.entry.items / median(result),
            "ratio_to_ours": statistics.median(result.ratios),
            "ratios": result.ratios,
            "of_products_limit": result.entry.products / median(result),
            "of_memory_limit": result.entry.reading / median(result),
            "output": result.agreement,
        }
        for result in results
        if result.seconds
    ]
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def draw(results: Sequence[Result], path: Path) -> None:
    """Draws bars of items per second, one panel per job, ours in another colour."""
    from matplotlib.figure import Figure

    jobs = list(dict.fromkeys(result.entry.job for result in results if result.seconds))
    lists = [sorted((r for r in results if r.entry.job == job and r.seconds), key=pace) for job in jobs]
    figure = Figure(figsize=(9, 1.2 + 0.32 * sum(len(each) + 2 for each in lists)), layout="constrained")
    panels = figure.subplots(len(jobs), 1, squeeze=False, height_ratios=[len(each) + 1 for each in lists])
    for panel, job, entries in zip(panels[:, 0], jobs, lists, strict=True):
        bars = panel.barh(
            [f"{r.entry.who}, {r.entry.precision}" for r in entries],
            [r.entry.items / median(r) for r in entries],
            color=["#d55e00" if r.entry.ours else "#8da0b3" for r in entries],
        )
        panel.bar_label(bars, fmt="%.1f", padding=3, fontsize=8)
        panel.invert_yaxis()
        panel.set_title(job, loc="left", fontsize=10)
        panel.tick_params(axis="y", labelsize=8)
        panel.set_xlabel("items a second; longer is faster", fontsize=8)
        panel.margins(x=0.1)
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)
