"""Draws the charts of the page as SVG that uses the page's text colour."""

from __future__ import annotations

import io
import re
import textwrap
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from sft_ref.console.printable import printable
from sft_ref.harness.report.causes import Cause
from sft_ref.harness.report.chart import draw_bars

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INK = "#010203"
"""Placeholder for the page's text colour, light or dark."""

_ACCENT = "#c0392b"
_BARS = 12
_LABEL = 70


def draw_causes(causes: Sequence[Cause], targets: int) -> Markup:
    """Draws the number of targets with each of the most frequent causes as horizontal bars."""
    from matplotlib.figure import Figure

    shown = causes[:_BARS]
    labels = [textwrap.fill(textwrap.shorten(printable(f"{c.stage}: {c.cause}"), _LABEL), 40) for c in shown]
    figure = Figure(figsize=(8, 1.0 + 0.42 * len(shown)), layout="constrained")
    axes = figure.subplots()
    draw_bars(axes, shown, labels, _ACCENT, _INK)
    axes.set_xlabel(f"submissions, of {targets}", color=_INK)
    return _as_svg(figure, f"Bar chart: submissions of each of the {len(shown)} most frequent causes")


def draw_losses(losses: Sequence[float]) -> Markup:
    """Draws the losses reported by training over its forward passes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 2.2), layout="constrained")
    axes = figure.subplots()
    axes.plot(range(1, len(losses) + 1), losses, color=_ACCENT, linewidth=1.2)
    axes.set_xlabel("forward pass in training", color=_INK)
    axes.set_ylabel("loss (nat)", color=_INK)
    return _as_svg(figure, f"Line chart: loss of {len(losses)} forward passes in training")


def _as_svg(figure: Figure, description: str) -> Markup:
    """Converts a figure to an element of the page, without a background."""
    import matplotlib as mpl

    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(_INK)
        axes.tick_params(colors=_INK)
        axes.patch.set_alpha(0)
    figure.patch.set_alpha(0)
    file = io.StringIO()
    with warnings.catch_warnings(), mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": description}):
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = text[text.index("<svg ") :].replace(_INK, "currentColor")
    text = re.sub(
        r'^<svg [^>]*viewBox="([^"]*)"[^>]*>', rf'<svg viewBox="\1" role="img" aria-label="{description}">', text
    )
    return Markup(text)  # noqa: S704  # matplotlib escapes its texts
