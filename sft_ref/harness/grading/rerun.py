"""The command line that runs a grading again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping


def rerun_command(target: str, options: Mapping[str, object]) -> str:
    """``sft-ref grade TARGET`` with the long names of options; an empty target and empty options are left out."""
    words = ["sft-ref", "grade", *([target] if target else [])]
    for name, value in options.items():
        if value is None or value in ("", ()):
            continue
        words += [f"--{name}", *(map(str, value) if isinstance(value, (list, tuple)) else [str(value)])]
    return shlex.join(words)
