"""Swaps two paths atomically."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_WORKING_FOLDER = -100
_SWAP = 2


def exchange(first: Path, second: Path) -> bool:
    """Swaps two paths on one disk, and returns whether it was done: not every system and disk supports it."""
    if os.name != "posix":
        return False
    libc, names = ctypes.CDLL(None), (os.fsencode(first), os.fsencode(second))
    if hasattr(libc, "renameat2"):  # Linux
        return bool(libc.renameat2(_WORKING_FOLDER, names[0], _WORKING_FOLDER, names[1], _SWAP) == 0)
    if hasattr(libc, "renamex_np"):  # macOS
        return bool(libc.renamex_np(*names, _SWAP) == 0)
    return False
