"""Two names on a disk swapped in one step, so that nobody ever finds neither."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_WORKING_FOLDER = -100
_SWAP = 2


def exchange(first: Path, second: Path) -> bool:
    """Swaps what two paths name, both on one disk; whether that was done: not every system and disk can."""
    if os.name != "posix":
        return False
    libc, names = ctypes.CDLL(None), (os.fsencode(first), os.fsencode(second))
    if hasattr(libc, "renameat2"):  # Linux
        return bool(libc.renameat2(_WORKING_FOLDER, names[0], _WORKING_FOLDER, names[1], _SWAP) == 0)
    if hasattr(libc, "renamex_np"):  # macOS
        return bool(libc.renamex_np(*names, _SWAP) == 0)
    return False
