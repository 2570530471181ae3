"""Margins within a factor of two of their limit that cannot be otherwise; any other one makes the scoreboard red."""

from __future__ import annotations

ACCEPTED: dict[tuple[str, str], str] = {
    (
        "GEN-mask",
        "GEN-006",
    ): "padding that is attended to moves the toy's logits by 0.19 of their spread,"
    " however much there is of it; rounding in bf16 may take 0.1",
}
"""Id of the mutant or control, and of the check -> why the measured value has to be that close to its limit."""
