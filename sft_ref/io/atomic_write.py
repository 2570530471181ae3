"""Writes files atomically."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from sft_ref.errors import OutputError

from .reading import shortened, why_no_path


def check_writable(path: Path) -> None:
    """Refuses a path that cannot be written, before a long job instead of after it.

    Raises:
        OutputError: the path is invalid, a folder or not writable, or its parent folder is missing or not writable.
    """
    if reason := why_no_path(path):
        raise OutputError(f"cannot write {shortened(path)}: {reason}; choose another place")
    if path.is_dir():
        raise OutputError(f"cannot write {path}: it is a folder; give a file")
    if _is_special(path):
        if not os.access(path, os.W_OK):
            raise OutputError(f"cannot write {path}: it is not writable; give another file")
        return
    if not (path.absolute().parent.is_dir() and os.access(path.absolute().parent, os.W_OK)):
        raise OutputError(
            f"cannot write {path}: there is no such folder, or it is not writable; make it, or choose another"
        )


def write_atomic(path: Path, content: str | bytes) -> None:
    """Writes a file in one step, so that a reader finds the old file, the new one or none.

    Links are followed. Devices and pipes are written to, not replaced.

    Raises:
        OutputError: the disk is full, or the path cannot be written.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    try:
        if _is_special(path):
            path.write_bytes(data)
            return
        path = path.resolve()
        handle, scratch = tempfile.mkstemp(prefix=f".{path.name[:40]}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(scratch).chmod(0o644)
            Path(scratch).replace(path)
        finally:
            Path(scratch).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {path} ({error}); free space, or choose another place") from error


def _is_special(path: Path) -> bool:
    """Returns whether a path is a device or pipe, such as ``/dev/stdout``."""
    return path.exists() and not path.is_file() and not path.is_dir()
