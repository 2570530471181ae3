"""What a target is: a folder or zip of code, a module that can be imported, or a bare adapter. Imports none of it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Literal

from sft_ref.errors import SubmissionError

from .layout import ADAPTER

Kind = Literal["code", "adapter"]


def find_kind(target: str) -> tuple[Kind, Path]:
    """What is to be graded, and where it lies.

    Raises:
        SubmissionError: there is nothing of that name.
    """
    path = Path(target)
    if path.is_dir() and not any(path.rglob("*.py")):
        found = sorted({each.parent for each in path.rglob(ADAPTER)}, key=lambda each: len(each.parts))
        if not found:
            raise SubmissionError(f"{target}: no code and no {ADAPTER} in it; give a submission or an adapter")
        return "adapter", found[0]
    return "code", path if path.exists() else _find_module(target)


def _find_module(name: str) -> Path:
    """Where a module lies: the folder of a package, or the file."""
    if "" not in sys.path:
        sys.path.insert(0, "")  # the working directory's, as `python -m` would find it
    try:
        spec = importlib.util.find_spec(name) if name.replace(".", "").isidentifier() else None
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.origin or not Path(spec.origin).is_file():
        raise SubmissionError(f"{name}: no such folder, zip or module; give one, or reference, or module:object")
    origin = Path(spec.origin)
    return origin.parent if spec.submodule_search_locations else origin
