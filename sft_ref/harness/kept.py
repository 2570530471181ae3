"""Results that are kept between runs: one file a submission, trusted only where it is whole and still true."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from sft_ref.errors import OutputError

from .graded import Grade
from .report.files import as_json, from_json, to_text
from .report.whole import write_whole
from .verdict import Verdict

_UNREAD = {"__pycache__", ".git"}


class Kept:
    """A folder of results.

    Args:
        folder: made where it is missing.
        grader: names the code and the options that grade; results of another one are not used.

    Raises:
        OutputError: the folder cannot be made.
    """

    def __init__(self, folder: Path, grader: str) -> None:
        self.folder, self.grader = folder, grader
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot write {folder} ({error}); choose another folder") from error

    def path_of(self, target: str) -> Path:
        """Where a submission's result stands."""
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(target).name)[:60].strip(".")
        full = str(Path(target).resolve()) if Path(target).exists() else target
        return self.folder / f"{name}-{_digest(os.fsencode(full))[:8]}.json"

    def read(self, target: str, content: str) -> Verdict | None:
        """The verdict on a submission, if this very content was graded by this very grader without an error."""
        try:
            held = json.loads(self.path_of(target).read_text(encoding="utf-8"), parse_constant=_refuse)
            grade = from_json(held["result"])
            same = held["content"] == content and held["grader"] == self.grader
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        if not (same and content and isinstance(grade, Verdict)) or grade.has_errors:
            return None
        return replace(grade, path=target)

    def write(self, target: str, content: str, grade: Grade) -> None:
        """Keeps what came of a submission.

        Raises:
            OutputError: the file cannot be written.
        """
        held = {"content": content, "grader": self.grader, "result": as_json(grade)}
        write_whole(self.path_of(target), to_text(held))


def content_of(target: str) -> str:
    """SHA-256 over the names and bytes of a file or folder; empty for what is neither, such as a module's name."""
    path = Path(target)
    if path.is_file():
        return _digest(_read(path))
    if not path.is_dir():
        return ""
    total = hashlib.sha256()
    for parent, folders, names in os.walk(path):
        folders[:] = sorted(set(folders) - _UNREAD)
        for name in sorted([*names, *folders]):
            file = Path(parent, name)
            total.update(os.fsencode(file.relative_to(path)) + b"\0" + _digest(_read(file)).encode())
    return total.hexdigest()


def _read(path: Path) -> bytes:
    """A file's bytes; of a link where it points, of a pipe or the like only what it is."""
    try:
        found = path.lstat()
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


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
