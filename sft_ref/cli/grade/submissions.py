"""``sft-ref grade`` of many submissions: prints a row as each finishes, and a summary of the class at the end."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sft_ref.console.printable import printable

if TYPE_CHECKING:
    from sft_ref.harness.core.grade import Grade
    from sft_ref.harness.core.verdict import Verdict
    from sft_ref.harness.grading.batch import GradeAll

FEW = 3
"""Most causes for which a table is enough; more are also drawn as a chart."""


def grade_class(
    targets: Sequence[str],
    grade: functools.partial[Verdict],
    folder: Path,
    write: Callable[[Sequence[Grade]], None],
    *,
    jobs: int,
    seconds: float,
    grade_all: GradeAll | None,
) -> list[Grade]:
    """Grades many targets, prints their verdicts, and writes the tables into `folder` and the reports.

    Args:
        targets: targets to grade, without duplicates.
        grade: function that returns the verdict on one target.
        folder: folder for the results, one file per target, and the tables.
        write: function that writes the requested reports.
        jobs: number of targets graded at a time on this machine.
        seconds: processor seconds per core for one target in the harness's own process.
        grade_all: function that grades elsewhere; None grades on this machine.

    Raises:
        KeyboardInterrupt: the message says how many targets are graded; the same command resumes from there.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from sft_ref.harness.grading.batch import grade_batch
    from sft_ref.harness.grading.cache import content_of
    from sft_ref.harness.report.causes import count_causes
    from sft_ref.harness.report.chart import plot_causes
    from sft_ref.harness.report.classroom import show_class, show_row
    from sft_ref.harness.report.files import write_csv

    grader = f"{content_of(str(Path(__file__).parents[2]))} {grade.keywords}"  # this code, and its options
    done: dict[str, Grade] = {}
    console = Console()
    bar = Progress(
        TextColumn("grading"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console,
        disable=not console.is_terminal, transient=True,
    )  # fmt: skip
    finishing = grade_batch(
        targets, grade, folder / "results", jobs=jobs, grader=grader, seconds=seconds, grade_all=grade_all
    )
    try:
        with bar, contextlib.closing(finishing):
            task = bar.add_task("", total=len(targets))
            for each in finishing:
                done[each.target] = each.grade
                show_row(each.grade, console, from_cache=each.from_cache)
                bar.advance(task)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped with {len(done)} of {len(targets)} graded, in {folder}") from None
    finally:
        grades = [done[target] for target in targets if target in done]
        if grades:
            write_csv(grades, folder / "grades.csv")
    write(grades)
    causes = count_causes(grades)
    if len(causes) > FEW:
        plot_causes(causes, len(grades), folder / "causes.png")
    console.print()
    show_class(grades, console)
    console.print(f"written: {printable(str(folder))}", markup=False, highlight=False, soft_wrap=True)
    return grades
