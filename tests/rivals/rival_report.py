"""What the tools said, judged: as a table in the terminal, as Markdown and as a picture."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rival_inputs import KINDS
from rival_tools import OURS, RIVALS, Answer

TOOLS = (OURS, *RIVALS)
WORDS = {
    "cause": "found, cause named",
    "found": "found",
    "missed": "missed",
    "passed": "passed",
    "false": "false alarm",
    "error": "broke",
    "cannot": "-",
    "missing": "not run",
}
CANNOT = "cannot take it"
COLOURS = {
    "cause": "#2b8a3e",
    "found": "#8fd19e",
    "passed": "#2b8a3e",
    "missed": "#f4b183",
    "false": "#c92a2a",
    "error": "#7f5539",
    "cannot": "#eeeeee",
    "missing": "#bbbbbb",
}


@dataclass(frozen=True)
class Row:
    """What a tool said of a case.

    Attributes:
        said: a line of what it objects to, or why it gave no answer.
        outcome: before it is held against the control: alarm, quiet, error, cannot or missing.
        findings: all that it objects to.
        named: findings that name the cause.
    """

    tool: str
    version: str
    case: str
    kind: str
    stage: str
    fault: str
    outcome: str = ""
    seconds: float = 0.0
    said: str = ""
    findings: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()

    def ended(self, outcome: str, error: str = "") -> Row:
        """Without an answer."""
        return replace(self, outcome=outcome, said=error)

    def answered(self, answer: Answer, seconds: float, cause: str) -> Row:
        """With an answer; `cause` is the pattern of the case."""
        named = tuple(each for each in answer.findings if cause and re.search(cause, each, re.IGNORECASE))
        said = answer.error or next(iter(named or answer.findings), "")
        return replace(
            self,
            outcome="error" if answer.error else "alarm" if answer.alarm else "quiet",
            seconds=seconds,
            said=" ".join(said.split()),
            findings=answer.findings,
            named=named,
            stages=answer.stages,
        )

    @classmethod
    def read(cls, table: dict[str, Any]) -> Row:
        """From JSON."""
        values: dict[str, Any] = {key: tuple(each) if isinstance(each, list) else each for key, each in table.items()}
        return cls(**values)


def judge(row: Row, rows: Sequence[Row]) -> str:
    """A key of `WORDS`: an alarm counts for what the tool does not say of the first control as well."""
    if row.outcome in ("cannot", "missing", "error"):
        return row.outcome
    if not row.stage:
        return "false" if row.outcome == "alarm" else "passed"
    control = next((each for each in rows if each.tool == row.tool and each.kind == row.kind and not each.stage), None)
    known = control.findings if control and control.outcome == "alarm" else ()
    texts = {_without_numbers(each) for each in known}
    own = [each for each in row.findings if _without_numbers(each) not in texts]
    if row.outcome != "alarm" or (known and not own):
        return "missed"
    return "cause" if any(each in row.named for each in own) else "found"


def _without_numbers(text: str) -> str:
    """What a finding says, however much of it there is."""
    return re.sub(r"[0-9]+", "#", text)


def table_of(rows: Sequence[Row]) -> dict[str, dict[str, tuple[Row, str]]]:
    """Case → tool → row and judgement."""
    table: dict[str, dict[str, tuple[Row, str]]] = {}
    for row in sorted(rows, key=lambda row: (KINDS.index(row.kind), bool(row.stage))):
        table.setdefault(row.case, {})[row.tool] = (row, judge(row, rows))
    return table


def show(rows: Sequence[Row]) -> None:
    """The table in the terminal, and the score of each tool."""
    table = Table("case", *(tool.name for tool in TOOLS))
    for case, cells in table_of(rows).items():
        table.add_row(case, *(_cell(cells, tool.name) for tool in TOOLS))
    console = Console(width=190)
    console.print(table)
    for line in scores(rows):
        console.print(" ".join(line), markup=False)


def _cell(cells: dict[str, tuple[Row, str]], tool: str) -> str:
    if tool not in cells:
        return ""
    row, judgement = cells[tool]
    seconds = f", {row.seconds:.0f} s" if row.seconds else ""
    return f"{WORDS[judgement]}{seconds}"


def scores(rows: Sequence[Row]) -> list[tuple[str, str, str, str, str, str]]:
    """Of each tool: faults that it takes, found, cause named, false alarms of controls, broke, seconds ÷ ours."""
    table = table_of(rows)
    lines = []
    for tool in TOOLS:
        own = [cells[tool.name] for cells in table.values() if tool.name in cells]
        taken = [(row, judgement) for row, judgement in own if judgement not in ("cannot", "missing")]
        faults = [judgement for row, judgement in taken if row.stage]
        controls = [judgement for row, judgement in taken if not row.stage]
        pairs = [
            (row.seconds, table[row.case][OURS.name][0].seconds) for row, _ in taken if OURS.name in table[row.case]
        ]
        ratio = sum(mine for mine, _ in pairs) / max(sum(ours for _, ours in pairs), 1e-9)
        lines.append(
            (
                f"{tool.name} {tool.version}".strip(),
                f"{sum(each in ('cause', 'found') for each in faults)} of {len(faults)}",
                f"{faults.count('cause')}",
                f"{controls.count('false')} of {len(controls)}",
                f"{sum(judgement == 'error' for _, judgement in taken)}",
                f"{ratio:.2f}" if pairs else "-",
            )
        )
    return lines


def markdown(rows: Sequence[Row]) -> str:
    """The score of each tool, and a table a kind of input."""
    heads = ("tool", "faults found, of those it takes", "cause named", "false alarms", "broke", "seconds ÷ ours")
    text = [_line(heads), _line(["---", *["---:"] * 5]), *map(_line, scores(rows))]
    table = table_of(rows)
    for kind in KINDS:
        chosen = {case: cells for case, cells in table.items() if next(iter(cells.values()))[0].kind == kind}
        tools = [tool for tool in TOOLS if kind in tool.ways]
        if not chosen:
            continue
        text += ["", f"### {kind}", "", _line(["case", "stage", "what is wrong", *(tool.name for tool in tools)])]
        text.append(_line(["---"] * (3 + len(tools))))
        for case, cells in chosen.items():
            row = next(iter(cells.values()))[0]
            found = [_cell(cells, tool.name) for tool in tools]
            text.append(_line([f"`{case}`", row.stage or "control", row.fault, *found]))
    return "\n".join(text) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def picture(rows: Sequence[Row], path: Path) -> None:
    """A field for each case and tool."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.patches import Patch, Rectangle

    table = table_of(rows)
    figure, axes = plt.subplots(figsize=(11, 0.24 * len(table) + 2.2), layout="constrained")
    seen = set()
    for y, cells in enumerate(table.values()):
        for x, tool in enumerate(TOOLS):
            kind = next(iter(cells.values()))[0].kind
            absent = "missing" if kind in tool.ways else "cannot"
            judgement = cells[tool.name][1] if tool.name in cells else absent
            seen.add(judgement)
            axes.add_patch(Rectangle((x, y), 0.96, 0.9, color=COLOURS[judgement]))
    axes.set_xlim(0, len(TOOLS))
    axes.set_ylim(len(table), 0)
    axes.set_xticks([x + 0.48 for x in range(len(TOOLS))], [f"{tool.name}\n{tool.version}".strip() for tool in TOOLS])
    axes.xaxis.tick_top()
    stages = [next(iter(cells.values()))[0].stage or "control" for cells in table.values()]
    labels = [f"{case}  ({stage})" for case, stage in zip(table, stages, strict=True)]
    axes.set_yticks([y + 0.45 for y in range(len(table))], labels, fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    merged = {"cause": "found, cause named; a control: passed", "passed": "found, cause named; a control: passed"}
    legend = {merged.get(key, CANNOT if key == "cannot" else WORDS[key]): COLOURS[key] for key in WORDS if key in seen}
    handles = [Patch(color=colour, label=word) for word, colour in legend.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path, dpi=130)
    plt.close(figure)
