"""Draws a sweep: a square for each pair of policies, green if nothing changed."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence

from .cell import Cell, CellVerdict

FACES = {
    CellVerdict.SAME: "#4daf7c",
    CellVerdict.DRIFT: "#f6c244",
    CellVerdict.BROKEN: "#d7453b",
    CellVerdict.NOT_RUN: "#d9d9d9",
}
_PALE = "#fdf0c8"
"""Color of drift that changes no answer."""


def draw(cells: Sequence[Cell], *, title: str) -> bytes:
    """Draws the matrix as a PNG: train policies as rows, load policies as columns."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch, Rectangle

    trains = list(dict.fromkeys(cell.train for cell in cells))
    loads = sorted(dict.fromkeys(cell.load for cell in cells), key=lambda load: _place(load, trains))
    figure = Figure(figsize=(2.3 * len(loads) + 1.6, 1.35 * len(trains) + 1.7), layout="constrained")
    axes = figure.subplots()
    for cell in cells:
        x, y = loads.index(cell.load), trains.index(cell.train)
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=_face(cell), edgecolor="white", linewidth=3))
        axes.text(x, y - 0.27, _headline(cell), ha="center", va="center", fontsize=11, fontweight="bold")
        axes.text(x, y + 0.12, _figures(cell), ha="center", va="center", fontsize=8.5, linespacing=1.35)
    axes.set_xlim(-0.5, len(loads) - 0.5)
    axes.set_ylim(len(trains) - 0.5, -0.5)
    axes.set_xticks(range(len(loads)), loads)
    axes.set_yticks(range(len(trains)), trains)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("loaded under", fontsize=11)
    axes.set_ylabel("trained under", fontsize=11)
    axes.tick_params(length=0, labelsize=11)
    for spine in axes.spines.values():
        spine.set_visible(False)
    figure.suptitle(title)
    legend = {
        "same, bit for bit": FACES[CellVerdict.SAME],
        "drift, no answer changed": _PALE,
        "drift, answers changed": FACES[CellVerdict.DRIFT],
        "broken": FACES[CellVerdict.BROKEN],
        "not run": FACES[CellVerdict.NOT_RUN],
    }
    handles = [Patch(color=color, label=name) for name, color in legend.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    picture = io.BytesIO()
    figure.savefig(picture, dpi=110, format="png")
    return picture.getvalue()


def _place(load: str, trains: Sequence[str]) -> int:
    """Returns the position of a column: in the order of the rows, so that the diagonal loads under the train policy."""
    return trains.index(load) if load in trains else len(trains)


def _face(cell: Cell) -> str:
    return _PALE if cell.verdict is CellVerdict.DRIFT and not cell.changed_answers else FACES[cell.verdict]


def _headline(cell: Cell) -> str:
    return f"broken: {cell.stage}" if cell.stage else str(cell.verdict)


def _figures(cell: Cell) -> str:
    if cell.answer_rate is None:
        return "\n".join(textwrap.wrap(textwrap.shorten(cell.why, 110, placeholder=" …"), 34))
    moved = "logits equal" if cell.parity == 0 else f"logits ±{cell.parity:.2g}" if cell.parity is not None else "NaN"
    lines = [moved, f"answers {cell.answer_rate:.0%}, right {cell.accuracy:.0%}"]
    if cell.changed_answers is not None:
        lines.append(f"{cell.changed_answers} of {len(cell.answers)} changed")
    return "\n".join(lines)
