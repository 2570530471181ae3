"""Shows in the terminal how a sweep differs from its baseline."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from sft_ref.console.printable import printable

from .baseline import BaselineDifference, changed_answers

Figures = dict[tuple[str, str], dict[str, Any]]


def show(differences: Sequence[BaselineDifference], golden: Figures, found: Figures, path: Path) -> None:
    """Prints for each pair its differences, their tolerances with the reasons, and the number of changed answers."""
    console = Console(highlight=False, soft_wrap=True)
    if not differences:
        count, name = len(found.keys() & golden.keys()), escape(printable(str(path)))
        console.print(f"as in the baseline {name}, within its tolerances: {count} cells")
    for pair, moved in itertools.groupby(differences, key=lambda each: each.pair):
        console.print(f"[bold red]moved[/] [bold]{escape(printable(f'{pair[0]} → {pair[1]}'))}[/]")
        for each in moved:
            console.print(f"  {describe(each)}")
        console.print(f"  {'answers':<15}{_answers(golden[pair], found[pair])}")
        if found[pair]["why"]:
            console.print(f"  {'now':<15}{escape(printable(found[pair]['why']))}")


def describe(each: BaselineDifference) -> str:
    """Formats one difference, its tolerance and the tolerance's reason, as rich markup."""
    return (
        f"{each.quantity:<15}{_text(each.golden)} → {_text(each.found)}"
        f"{_by(each.golden, each.found)}  [dim]allowed {each.allowed}: {escape(printable(each.why))}[/]"
    )


def show_versions(golden: dict[str, str], found: dict[str, str]) -> None:
    """Prints the libraries whose versions differ from the baseline's."""
    changed = [
        f"{name} {golden[name]} → {found[name]}" for name in found if golden.get(name, found[name]) != found[name]
    ]
    if changed:
        console = Console(highlight=False, soft_wrap=True, markup=False)
        console.print(f"versions that differ from the baseline's: {printable(', '.join(changed))}")


def _answers(golden: dict[str, Any], found: dict[str, Any]) -> str:
    count = changed_answers(golden, found)
    if count is None:
        return "cannot be compared"
    return f"{count} of {len(found['answers'])} changed" if count else "none changed"


def _by(golden: Any, found: Any) -> str:  # noqa: ANN401  # figures of any type
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in (golden, found))
    return f" ({found - golden:+.3g})" if numbers else ""


def _text(value: Any) -> str:  # noqa: ANN401
    if value is None:
        return "not finite"
    return f"{value:.4g}" if isinstance(value, float) else escape(printable(str(value))) or "none"
