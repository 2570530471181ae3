"""Shows verdicts and checks in the terminal.

Text from a submission passes through `printable` and `Text`, never through markup.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from sft_ref.console.printable import printable
from sft_ref.harness.core.check import Check, Outcome, Result
from sft_ref.harness.core.grade import HARNESS_ERROR, Grade
from sft_ref.harness.core.verdict import Status, Suspect, Verdict

WIDTH = 100
"""Maximum width of a report in columns; longer lines are hard to read."""

_MEANING = {
    Status.SOUND: "Every stage was examined, and no fault was found.",
    Status.NOT_SHOWN: "No fault was found, but not every stage was examined.",
    Status.DRIFT: "A contract is broken. No fault was found that loses answers.",
    Status.BROKEN: "Answers are lost, worse than they should be, misreported, or not the model's own.",
}
_BROKE = "The harness failed, so this says nothing about the target."
_TITLES = {
    Status.BROKEN: "At fault: {}",
    Status.DRIFT: "Contract broken, no answer lost: {}",
}
COLORS: dict[Status | Outcome, str] = {
    Status.SOUND: "green",
    Status.NOT_SHOWN: "cyan",
    Status.DRIFT: "yellow",
    Status.BROKEN: "red",
    Outcome.PASS: "green",
    Outcome.FAIL: "red",
    Outcome.ERROR: "magenta",
    Outcome.BLOCKED: "yellow",
    Outcome.SKIPPED: "yellow",
    Outcome.ADVICE: "cyan",
}


def list_checks(checks: Iterable[Check]) -> None:
    """Prints a table of checks."""
    table = Table("id", "stage", "level", "statement")
    for each in checks:
        table.add_row(each.id, each.stage, each.level, escape(each.statement))
    Console().print(table)


def explain_check(each: Check, kinds: str) -> None:
    """Prints a check's statement, its reason, its remedy, and the kinds of targets that it applies to."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]{each.id}[/] ({each.stage}, {each.level}): {escape(each.statement)}")
    for name, text in (
        ("why", each.why),
        ("remedy", each.remedy),
        ("target", kinds),
        ("depends on", ", ".join(each.depends_on)),
        ("aliases", ", ".join(each.aliases)),
        ("source", each.source),
    ):
        if text:
            console.print(f"  {name:<12}{escape(text)}")


def show_grade(grade: Grade, console: Console) -> None:
    """Prints the full report on one target."""
    if isinstance(grade, Verdict):
        show_verdict(grade, console)
        return
    lines = [Text(printable(grade.path), "bold"), Text(printable(grade.reason))]
    if grade.code == HARNESS_ERROR:
        lines.append(Text("It could not be graded. This says nothing about the target."))
    _print(console, _box("NOT GRADED", "magenta", lines))


def show_verdict(verdict: Verdict, console: Console) -> None:
    """Prints the verdict, the stages at fault (broken before drifting), the cleared stages, notes and checks."""
    _print(console, _box(str(verdict.status).upper(), COLORS[verdict.status], _summary(verdict)))
    for suspect in sorted(verdict.suspects, key=lambda suspect: suspect.status is not Status.BROKEN):
        _section(
            console,
            _TITLES[suspect.status].format(printable(suspect.stage)),
            COLORS[suspect.status],
            _suspect(suspect),
        )
    if verdict.cleared:
        rows = [(stage, Text(printable(measured))) for stage, measured in verdict.cleared.items()]
        _section(console, "Cleared", "green", _pairs(rows))
    if notes := [note for note in verdict.notes if note != how_it_ran(verdict)]:
        _section(console, "Notes", "cyan", _list(notes))
    if verdict.results:
        _section(console, "Checks", "cyan", _checks(verdict.results))
    console.print()


def how_it_ran(verdict: Verdict) -> str:
    """Describes whether the target ran in a sandbox, and if not, why."""
    if verdict.sandboxed:
        return "sandboxed"
    return next((note for note in verdict.notes if "not sandboxed" in note), "not sandboxed")


def meaning_of(verdict: Verdict) -> str:
    """Returns the meaning of the verdict, one sentence."""
    is_hidden = verdict.has_errors and verdict.status is Status.NOT_SHOWN
    return _BROKE if is_hidden else _MEANING[verdict.status]


def figures_of(verdict: Verdict) -> str:
    """Formats answer rate and accuracy on unseen questions; empty if there were no answers."""
    named = (("answer_rate", verdict.answer_rate), ("accuracy", verdict.accuracy))
    counted = ", ".join(f"{name} {value:.2f}" for name, value in named if value is not None)
    return f"{counted} on unseen questions" if counted else ""


def _print(console: Console, body: RenderableType) -> None:
    console.print(body, width=min(console.width, WIDTH), highlight=False)


def _box(word: str, color: str, lines: Iterable[Text]) -> Panel:
    title = Text(word, f"bold {'black' if color == 'yellow' else 'white'} on {color}")
    return Panel(Group(*lines), title=title, title_align="left", border_style=color)


def _summary(verdict: Verdict) -> Iterator[Text]:
    yield Text(printable(verdict.path), "bold")
    yield Text(meaning_of(verdict))
    if verdict.coverage_text:
        yield Text(printable(verdict.coverage_text))
    if verdict.stages:
        yield Text.assemble("At fault: ", (printable(", ".join(verdict.stages)), "bold"))
    if verdict.cause:
        yield Text(printable(verdict.cause))
    if figures := figures_of(verdict):
        yield Text(figures)
    if verdict.size:
        yield Text(printable(verdict.size))
    yield Text(printable(how_it_ran(verdict)), "" if verdict.sandboxed else "bold")
    yield Text(f"graded in {verdict.seconds:.0f} s", "dim")


def _section(console: Console, title: str, color: str, body: RenderableType) -> None:
    console.print()
    _print(console, Text(title, f"bold {color}"))
    _print(console, Padding(body, (0, 0, 0, 2), expand=False))


def _suspect(suspect: Suspect) -> Table:
    rows: list[tuple[str, RenderableType]] = [("cause", Text(printable(suspect.cause), "bold"))]
    if suspect.evidence:
        rows.append(("evidence", _list(suspect.evidence)))
    if suspect.example:
        rows.append(("example", Text(printable(suspect.example))))
    if suspect.remedy:
        rows.append(("remedy", Text(printable(suspect.remedy), "green")))
    return _pairs(rows)


def _pairs(rows: Iterable[tuple[str, RenderableType]]) -> Table:
    """Builds a table with names on the left and their values on the right."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, body in rows:
        table.add_row(Text(printable(name)), body)
    return table


def _list(lines: Iterable[str]) -> Table:
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column()
    table.add_column(overflow="fold")
    for line in lines:
        table.add_row("-", Text(printable(line)))
    return table


def _checks(results: Iterable[Result]) -> Group:
    """Lists the number of passed checks by stage, the blocked checks, and a row for each other check."""
    shown = list(results)
    passed = Counter(result.check.stage for result in shown if result.outcome is Outcome.PASS)
    by_stage = ", ".join(f"{stage} {number}" for stage, number in passed.items())
    parts: list[RenderableType] = [
        Text(f"{passed.total()} of {len(shown)} passed" + (f": {by_stage}" if by_stage else ""))
    ]
    if blocked := [result.check.id for result in shown if result.outcome is Outcome.BLOCKED]:
        parts.append(Text(f"blocked by checks that did not pass: {printable(', '.join(blocked))}"))
    if others := [result for result in shown if result.outcome not in (Outcome.PASS, Outcome.BLOCKED)]:
        table = Table(box=SIMPLE_HEAD, padding=(0, 1), show_edge=False)
        table.add_column("check", no_wrap=True)
        table.add_column("outcome", no_wrap=True)
        table.add_column("statement and result", overflow="fold")
        for result in others:
            outcome = Text(str(result.outcome), COLORS[result.outcome])
            table.add_row(Text(printable(result.check.id)), outcome, _found(result))
        parts += ["", table]
    return Group(*parts)


def _found(result: Result) -> Group:
    lines = [Text(printable(result.check.statement))]
    if result.outcome is Outcome.FAIL:
        lines.append(Text(f"observed: {printable(result.observed)}; expected: {printable(result.expected)}"))
        lines += [Text(f"for {printable(result.example)}")] if result.example else []
    elif result.observed:
        lines.append(Text(printable(result.observed)))
    if result.rerun:
        lines.append(Text(f"rerun: {printable(result.rerun)}", "dim"))
    return Group(*lines)
