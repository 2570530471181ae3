"""Draws how often each cause is found in many submissions."""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sft_ref.console.printable import printable
from sft_ref.io.atomic_write import write_atomic

from .causes import Cause

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BARS = 15
_LABEL = 90
"""Maximum number of characters of a cause in the label of a bar."""


def plot_causes(causes: Sequence[Cause], submissions: int, path: Path) -> None:
    """Draws the most frequent causes, with the number of submissions of each, as a PNG.

    Raises:
        OutputError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    shown = causes[:_BARS]
    labels = [_label(cause) for cause in shown]
    height = 1.4 + 0.17 * sum(label.count("\n") + 2 for label in labels)
    figure = Figure(figsize=(9, height), layout="constrained")
    axes = figure.subplots()
    draw_bars(axes, shown, labels, "tab:red")
    axes.spines[["top", "right"]].set_visible(False)
    more = f", the first {_BARS} of {len(causes)}" if len(causes) > _BARS else ""
    axes.set(xlabel=f"submissions, of {submissions}", title=f"Causes found{more}")
    picture = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(picture, dpi=120, format="png")
    write_atomic(path, picture.getvalue())


def draw_bars(axes: Axes, causes: Sequence[Cause], labels: Sequence[str], colour: str, ink: str = "black") -> None:
    """Draws a horizontal bar for each cause; its length is the number of submissions."""
    from matplotlib.ticker import MaxNLocator

    bars = axes.barh(range(len(causes)), [len(cause.paths) for cause in causes], height=0.5, color=colour)
    axes.bar_label(bars, padding=3, color=ink)
    axes.set_yticks(range(len(causes)), labels)
    for label in axes.get_yticklabels():
        label.set_parse_math(False)  # a cause may contain text from a submission
        label.set_fontsize(8)
    axes.invert_yaxis()
    axes.margins(x=0.08)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _label(cause: Cause) -> str:
    text = f"{cause.stage}: {printable(cause.cause)}"
    return textwrap.fill(text if len(text) <= _LABEL else f"{text[:_LABEL]} …", 46)
