"""Locks a folder, so that one process at a time uses it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from sft_ref.errors import OutputError

LOCK = "lock"
"""Name of the lock file; the system releases the lock when the process ends, however it ends."""


@contextlib.contextmanager
def only_one(folder: Path, again: str) -> Iterator[None]:
    """Within it, no other process can lock this folder.

    Args:
        folder: created if it is missing; it may be removed before the end.
        again: an alternative to waiting, for the error message.

    Raises:
        OutputError: another process uses it, or it cannot be written.
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
            folder.rmdir()  # if it is empty
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
    """The process that holds a lock, if it is known."""
    with contextlib.suppress(OSError, ValueError):
        return f"process {int(path.read_text(encoding='ascii'))}"
    return "another process"
