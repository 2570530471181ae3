"""Shows the sweep of an adapter in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.markup import escape
from rich.table import Table

from sft_ref.console.printable import printable
from sft_ref.sweep.cell import CellVerdict
from sft_ref.sweep.terminal import COLORS, number, wide_console

from .figures import ChangedAnswer, WayFigures

_SHOWN = 3
"""Changed answers shown of each way; --json has all."""
_LONGEST = 60
"""Characters shown of a question or answer."""


def show(found: Sequence[WayFigures]) -> None:
    """Prints a line for each way, then for each way its reason and some of the answers that changed."""
    table = Table(title=f"each way to load, compared with {found[0].load}", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("load", "verdict", "dtypes"):
        table.add_column(name, no_wrap=True)
    for name in ("logits", "divergence", "top-1", "loss", "right", "changed"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in found:
        verdict = f"[{COLORS[each.verdict]}]{each.verdict}[/]"
        if each.verdict is CellVerdict.NOT_RUN:
            table.add_row(escape(each.load), verdict)
            continue
        table.add_row(
            *(escape(each.load), verdict, each.dtypes, number(each.parity, ".2g"), number(each.divergence, ".2g")),
            *(number(each.top1, ".1%"), number(each.loss, ".3f"), number(each.right, ".0%")),
            f"{len(each.changed)} of {each.rows}",
        )
    console = wide_console(table)
    console.print(table)
    for each in found:
        if each.why:
            label = f"[{COLORS[each.verdict]}]{each.verdict}[/]"
            console.print(f"{escape(each.load):<18} {label}: {escape(printable(each.why))}", soft_wrap=True)
        for changed in each.changed[:_SHOWN]:
            console.print(f"  {_line(changed)}", markup=False, soft_wrap=True)
        if len(each.changed) > _SHOWN:
            console.print(f"  and {len(each.changed) - _SHOWN} more; --json FILE has all", style="dim")
    console.print(
        "\nlogits: largest difference of a logit that predicts a true answer. divergence: mean Kullback-Leibler"
        " divergence, nat per token.\ntop-1: same first choice, or too close to call. loss: of the true answers, nat"
        " per token. right: of generated answers.",
        style="dim",
    )


def _line(changed: ChangedAnswer) -> str:
    question, before, after = (_short(text) for text in (changed.question, changed.before, changed.after))
    words = {(True, False): ", right before", (False, True): ", right now"}
    right = words.get((changed.was_right, changed.is_right), "")
    return f"row {changed.row} {question}: from token {changed.token} on {after} instead of {before}{right}"


def _short(text: str) -> str:
    text = printable(" ".join(text.split()))
    return repr(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")
