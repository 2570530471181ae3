"""Stores results between runs, one file per target; a result is reused only if target and grader are unchanged."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from sft_ref.errors import OutputError
from sft_ref.harness.core.grade import Grade
from sft_ref.harness.core.verdict import Verdict
from sft_ref.harness.report.files import as_json, from_json
from sft_ref.io.atomic_write import write_atomic
from sft_ref.io.reading import UnreadableError, is_folder, json_of, plain_bytes
from sft_ref.io.strict_json import to_text

_LARGEST = 2**33
"""Size in bytes of the largest file that is hashed; a larger file, which may be sparse, is identified by size and
modification time."""
_UNREAD = {"__pycache__", ".git"}


class _CachedResult(msgspec.Struct):
    """The content of a result file."""

    content: str
    grader: str
    result: dict[str, Any]


class ResultCache:
    """A folder of results.

    Args:
        folder: path of the folder; it is created if it is missing.
        grader: identifier of the code and options of the grading; results of another grader are not used.

    Raises:
        OutputError: the folder cannot be created.
    """

    def __init__(self, folder: Path, grader: str) -> None:
        self.folder, self.grader = folder, grader
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot write {folder} ({error}); choose another folder") from error

    def path_of(self, target: str) -> Path:
        """Returns the path of a target's result file."""
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(target).name)[:60].strip(".")
        full = str(Path(target).resolve()) if Path(target).exists() else target
        return self.folder / f"{name}-{_digest(os.fsencode(full))[:8]}.json"

    def read(self, target: str, content: str) -> Verdict | None:
        """Returns the verdict on a target if the same grader graded the same content without an error, else None."""
        try:
            held = json_of(plain_bytes(self.path_of(target)), _CachedResult)
            grade = from_json(held.result)
        except UnreadableError:
            return None
        same = held.content == content and held.grader == self.grader
        if not (same and content and isinstance(grade, Verdict)) or grade.has_errors:
            return None
        return replace(grade, path=target)

    def write(self, target: str, content: str, grade: Grade) -> None:
        """Stores the result of a target.

        Raises:
            OutputError: the file cannot be written.
        """
        held = {"content": content, "grader": self.grader, "result": as_json(grade)}
        write_atomic(self.path_of(target), to_text(held))


def content_of(target: str) -> str:
    """Returns the SHA-256 of a file, or of the names and bytes in a folder; empty if neither, such as a module name."""
    path = Path(target)
    if path.is_file():
        return _digest(_read(path))
    if not path.is_dir():
        return ""
    total = hashlib.sha256()
    folders = [path]
    while folders:  # not recursive, since deeply nested folders would exceed the recursion limit
        for file in _listed(folders.pop()):
            if is_folder(file):
                folders.append(file)
            total.update(os.fsencode(file.relative_to(path)) + b"\0" + _digest(_read(file)).encode())
    return total.hexdigest()


def _listed(folder: Path) -> list[Path]:
    """Returns the sorted entries of a folder; empty if it cannot be read."""
    try:
        return sorted(entry for entry in folder.iterdir() if entry.name not in _UNREAD)
    except OSError:
        return []


def _read(path: Path) -> bytes:
    """Returns the digest of a regular file, the target of a link, or the kind of a special file."""
    try:
        found = path.lstat()
        if stat.S_ISREG(found.st_mode) and found.st_size > _LARGEST:
            return f"{found.st_size} {found.st_mtime_ns}".encode()
        if stat.S_ISREG(found.st_mode):
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").digest()
        if stat.S_ISLNK(found.st_mode):
            return os.fsencode(path.readlink())
        return str(stat.S_IFMT(found.st_mode)).encode()
    except OSError as error:
        return str(error).encode()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
