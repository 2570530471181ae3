"""Builds the command line that repeats a grading."""

from __future__ import annotations

import shlex
from collections.abc import Mapping


def rerun_command(target: str, options: Mapping[str, object]) -> str:
    """Builds ``sft-ref grade TARGET`` with long option names; leaves out an empty target and empty options."""
    words = ["sft-ref", "grade", *([target] if target else [])]
    for name, value in options.items():
        if value is None or value in ("", ()):
            continue
        words += [f"--{name}", *(map(str, value) if isinstance(value, (list, tuple)) else [str(value)])]
    return shlex.join(words)
