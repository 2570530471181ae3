"""One process at a time in a folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from .errors import OutputError

LOCK = "lock"
"""Name of the file; the system takes the lock from a process that ends, however it ends."""


@contextlib.contextmanager
def only_one(folder: Path, again: str) -> Iterator[None]:
    """Within it, no other process is let into this folder.

    Args:
        folder: made where it is missing; it may be removed before the end.
        again: what to do in place of using it, for the message.

    Raises:
        OutputError: another process is in it, or it cannot be written.
    """
    path = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, timeout=0)
        lock.acquire()
        path.write_text(f"{os.getpid()}\n", encoding="ascii")
    except Timeout:
        raise OutputError(f"{folder} is in use by {_holder(path)}; wait until it ends, or {again}") from None
    except OSError as error:
        raise OutputError(f"cannot write {folder} ({error}); choose another folder") from error
    try:
        yield
    finally:
        lock.release()


def _holder(path: Path) -> str:
    """Who holds a lock, as far as it says so."""
    with contextlib.suppress(OSError, ValueError):
        return f"process {int(path.read_text(encoding='ascii'))}"
    return "another process"
