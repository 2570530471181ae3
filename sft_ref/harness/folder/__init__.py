"""A bare adapter, as peft, TRL, axolotl or unsloth leave it: recorded once, checked, and judged."""

from __future__ import annotations

from .grade import grade_adapter

__all__ = ["grade_adapter"]
