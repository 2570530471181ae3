"""The plot of a training run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

_MARGINS = {"left": 0.13, "right": 0.97, "bottom": 0.13, "top": 0.92}
"""Fractions of the figure; a computed layout would take twice the time."""


def plot_losses(losses: Sequence[float], path: Path) -> None:
    """Draws the loss, in nat per supervised token, of each optimizer step as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4))
    axes = figure.subplots(gridspec_kw=_MARGINS)
    axes.plot(range(1, len(losses) + 1), losses, color="tab:blue")
    axes.set(xlabel="optimizer step", ylabel="loss (nat per supervised token)", title="Training loss")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
