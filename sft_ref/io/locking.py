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
def only_one(folder: Path, again: str) -> Iterator[None]:
    """Within it, no other process can lock this folder.

    Args:
        folder: created if it is missing, and removed again if it is empty at the end; it may be removed before.
        again: an alternative to waiting, for the error message.

    Raises:
        OutputError: another process uses it, or it cannot be written.
    """
    path = folder / LOCK
    lock = FileLock(path, timeout=0)
    created = not folder.exists()
    with contextlib.ExitStack() as undo:
        if created:
            undo.callback(_remove_if_empty, folder)
        try:
            with _signals_blocked():  # else one of them could leave the file of the lock behind
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
    """Within it, a signal that interrupts waits for the end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _release(lock: FileLock, path: Path) -> None:
    """Removes the file of a lock and releases it."""
    with contextlib.suppress(OSError):
        path.unlink()
    lock.release()


def _remove_if_empty(folder: Path) -> None:
    """Removes a folder in which nothing is."""
    with contextlib.suppress(OSError):
        folder.rmdir()


def _holder(path: Path) -> str:
    """The process that holds a lock, if it is known."""
    with contextlib.suppress(OSError, ValueError):
        return f"process {int(path.read_text(encoding='ascii'))}"
    return "another process"
