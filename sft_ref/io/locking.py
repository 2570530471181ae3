"""Locks a folder, so that one process at a time uses it."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from sft_ref.errors import OutputError

LOCK = "lock"
"""Name of the lock file; the system releases the lock when the process ends, however it ends."""


@contextlib.contextmanager
def lock_folder(folder: Path, again: str) -> Iterator[None]:
    """Prevents other processes from locking this folder within its context.

    Args:
        folder: folder to lock; created if missing, and removed if empty at the end. It may be removed earlier.
        again: an alternative to waiting, for the error message.

    Raises:
        OutputError: another process uses the folder, or it cannot be written.
    """
    path = folder / LOCK
    lock = FileLock(path, timeout=0)
    created = not folder.exists()
    with contextlib.ExitStack() as undo:
        if created:
            undo.callback(_remove_if_empty, folder)
        try:
            with _signals_blocked():  # else a signal could leave the lock file behind
                folder.mkdir(parents=True, exist_ok=True)
                lock.acquire()
                undo.callback(_release, lock, path)
                path.write_text(f"{os.getpid()}\n", encoding="ascii")
        except Timeout:
            raise OutputError(f"{folder} is in use by {_holder(path)}; wait until it ends, or {again}") from None
        except OSError as error:
            raise OutputError(f"cannot write {folder} ({error}); choose another folder") from error
        yield


@contextlib.contextmanager
def _signals_blocked() -> Iterator[None]:
    """Delays signals that interrupt the process until the end of its context."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _release(lock: FileLock, path: Path) -> None:
    """Removes a lock file and releases the lock."""
    with contextlib.suppress(OSError):
        path.unlink()
    lock.release()


def _remove_if_empty(folder: Path) -> None:
    """Removes a folder if it is empty."""
    with contextlib.suppress(OSError):
        folder.rmdir()


def _holder(path: Path) -> str:
    """Names the process that holds a lock, if it is known."""
    with contextlib.suppress(OSError, ValueError):
        return f"process {int(path.read_text(encoding='ascii'))}"
    return "another process"
