"""One process at a time in a folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from sft_ref.errors import OutputError

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
    lock = FileLock(path, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        path.write_text(f"{os.getpid()}\n", encoding="ascii")
    except Timeout:
        raise OutputError(f"{folder} is in use by {_holder(path)}; wait until it ends, or {again}") from None
    except BaseException as error:
        if lock.is_locked:
            path.unlink(missing_ok=True)
            lock.release()
        with contextlib.suppress(OSError):
            folder.rmdir()  # where nothing else is in it
        if isinstance(error, OSError):
            raise OutputError(f"cannot write {folder} ({error}); choose another folder") from error
        raise
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        lock.release()


def _holder(path: Path) -> str:
    """Who holds a lock, as far as it says so."""
    with contextlib.suppress(OSError, ValueError):
        return f"process {int(path.read_text(encoding='ascii'))}"
    return "another process"
