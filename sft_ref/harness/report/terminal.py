"""Results as a person reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sft_ref.harness.check import Check, Outcome, Result
from sft_ref.harness.mutation import Mutant

_COLORS = {
    Outcome.PASS: "green",
    Outcome.FAIL: "red",
    Outcome.ERROR: "magenta",
    Outcome.BLOCKED: "yellow",
    Outcome.SKIPPED: "yellow",
    Outcome.ADVICE: "cyan",
}


def list_checks(checks: Iterable[Check]) -> None:
    """A table of what is checked, and whom it binds."""
    table = Table("id", "stage", "level", "statement")
    for each in checks:
        table.add_row(each.id, each.stage, each.level, escape(each.statement))
    Console().print(table)


def explain_check(each: Check, mutants: Iterable[Mutant] | None) -> None:
    """A check's statement, whom it binds, why, what to do, where the bug was seen, and the mutants that it must fail.

    Args:
        each: the check.
        mutants: those known; None where their files are not there.
    """
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]{each.id}[/] ({each.stage}, {each.level}): {escape(each.statement)}")
    for name, text in (
        ("why", each.why),
        ("remedy", each.remedy),
        ("after", ", ".join(each.after)),
        ("seen in", each.source),
    ):
        if text:
            console.print(f"  {name:<8}{escape(text)}")
    if mutants is None:
        console.print("  mutants lie in tests/mutants of the source tree, which is not here")
    for mutant in mutants or ():
        if each.id in mutant.checks:
            console.print(f"  mutant  {escape(f'{mutant.id}: {mutant.fault} ({mutant.source})')}")


def show_results(results: Iterable[Result]) -> list[Result]:
    """A line a check as it ends, then each finding with its reason and remedy, then the number of each outcome."""
    console = Console(highlight=False, soft_wrap=True)
    counts: Counter[Outcome] = Counter()
    findings = []
    shown = []
    for result in results:
        shown.append(result)
        counts[result.outcome] += 1
        color, each = _COLORS[result.outcome], result.check
        console.print(
            f"{each.id}  [{color}]{result.outcome:<8}[/]  {escape(each.statement)}  [dim]{result.seconds:.1f} s[/]"
        )
        if result.outcome is not Outcome.PASS:
            findings.append(result)
    for result in findings:
        console.print(f"\n[bold]{result.check.id} {result.outcome}[/]: {escape(result.check.statement)}")
        lines = {
            "seen": result.seen,
            "allowed": result.allowed,
            "case": result.case,
            "why": result.check.why if result.outcome is Outcome.FAIL else "",
            "remedy": result.check.remedy if result.outcome is Outcome.FAIL else "",
            "repeat": result.repeat,
        }
        for name, text in lines.items():
            if text:
                console.print(f"  {name:<8}{escape(text)}")
    console.print("\n" + ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome if counts[outcome]))
    return shown
