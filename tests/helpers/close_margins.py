"""Margins within a factor of two of their limit that cannot be otherwise; any other one makes the scoreboard red."""

from __future__ import annotations

ACCEPTED: dict[tuple[str, str], str] = {}
"""Id of the mutant or control, and of the check -> why the measured value has to be that close to its limit."""
