"""Shows many submissions in the terminal: one row each, and the most frequent causes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sft_ref.console.printable import printable
from sft_ref.harness.core.grade import HARNESS_ERROR, Grade, NotGraded
from sft_ref.harness.core.verdict import Status

from .causes import count_causes
from .terminal import COLORS, WIDTH

_NAMED = 3
"""Number of submissions that a row of the summary lists by name."""


def word_of(grade: Grade) -> str:
    """Returns the result in one or two words."""
    if isinstance(grade, NotGraded):
        return "not graded" if grade.code == HARNESS_ERROR else "bad input"
    return str(grade.status)


def show_row(grade: Grade, console: Console, *, from_cache: bool = False) -> None:
    """Prints one line about a submission.

    Args:
        grade: the result of the submission.
        console: the terminal to print to.
        from_cache: whether the result comes from an earlier run.
    """
    word = word_of(grade)
    line = Text.assemble((f"{word:<14}", _color(grade)), (printable(grade.path), "bold"))
    if isinstance(grade, NotGraded):
        line.append(f"  {printable(grade.reason)}")
    else:
        line.append(f"  {printable(', '.join(grade.stages))}: {printable(grade.cause)}" if grade.stages else "")
        line.append("  graded before" if from_cache else f"  {grade.seconds:.0f} s", "dim")
    console.print(line, soft_wrap=True, highlight=False)


def show_class(grades: Sequence[Grade], console: Console) -> None:
    """Prints the number of each verdict, and the causes, the most frequent first."""
    counts = Counter(word_of(grade) for grade in grades)
    words = [*(str(each) for each in Status), "bad input", "not graded"]
    named = ", ".join(f"{counts[word]} {word}" for word in words if counts[word])
    console.print(Text(f"{len(grades)} submissions: {named}", "bold"), highlight=False)
    causes = count_causes(grades)
    if not causes:
        return
    console.print()
    table = Table(box=SIMPLE_HEAD, show_edge=False)
    table.add_column("count", justify="right", no_wrap=True)
    table.add_column("stage", no_wrap=True)
    table.add_column("check", no_wrap=True)
    table.add_column("cause in the first submission", overflow="fold")
    table.add_column("submissions", overflow="fold")
    for cause in causes:
        names = ", ".join(printable(path) for path in cause.paths[:_NAMED])
        rest = len(cause.paths) - _NAMED
        names += f" and {rest} more" if rest > 0 else ""
        table.add_row(
            str(len(cause.paths)),
            *(Text(printable(text)) for text in (cause.stage, cause.check, cause.cause)),
            Text(names),
        )
    console.print(table, width=min(console.width, WIDTH), highlight=False)


def _color(grade: Grade) -> str:
    return "magenta" if isinstance(grade, NotGraded) else COLORS[grade.status]
