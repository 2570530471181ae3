"""Copies or unpacks a submission as regular files into a new folder. Trusts no header, follows no link."""

from __future__ import annotations

import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from sft_ref.errors import SubmissionError
from sft_ref.io.plain_files import FileLimits, LeftOut, open_file, remove, walk
from sft_ref.io.reading import shortened

FILES = 10_000
ENTRIES = 10 * FILES
"""Maximum number of folder entries that are read, including ignored ones."""
BYTES = 8 * 2**30
RATIO = 200
"""Maximum compression ratio of a zip: text has about 10, zeros about 1000."""
SMALL = 2**20
"""Bytes that any zip may contain, whatever its ratio: a small file of zeros is not a zip bomb."""
DEPTH = 32
NAME = 1024
"""Maximum number of bytes per file in the directory of a zip."""
DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, ValueError, OverflowError)
CHUNK = 2**20
JUNK = frozenset({"__MACOSX", ".git", ".hg", ".svn", "__pycache__", ".DS_Store", ".ipynb_checkpoints", ".venv", "venv"})
"""Files and folders that are ignored; virtual environments are ignored as well, whatever their name."""


@dataclass(frozen=True)
class _SubmittedFile:
    """A file of a submission: the parts of its path, and a function that opens it."""

    parts: tuple[str, ...]
    open: Callable[[], IO[bytes]]


def unpack(path: Path, into: Path) -> Path:
    """Copies a folder or unpacks a zip; `into` is complete, or does not exist.

    Args:
        path: a folder or a zip file.
        into: a folder that does not exist yet; its parent does.

    Returns:
        `into`.

    Raises:
        SubmissionError: the path is missing, or is neither a folder nor a zip; or it contains a path outside itself, a
            link, a special file, an encrypted file, a duplicate name, or too much data.
    """
    if path.is_dir() and into.resolve().is_relative_to(path.resolve()):
        raise SubmissionError(f"{into} is inside {path}; give a folder outside it")
    if into.exists():
        raise SubmissionError(f"{into} exists already; give a new folder")
    unfinished = Path(tempfile.mkdtemp(prefix=f"{into.name}.", dir=into.parent))
    try:
        if path.is_dir():
            _write(_in_folder(path), unfinished, path, BYTES)
        elif path.is_file() and zipfile.is_zipfile(path):
            _unzip(path, unfinished)
        else:
            raise SubmissionError(f"{path} is neither a folder nor a zip; hand in one of them")
        unfinished.chmod(0o755)
        unfinished.rename(into)
    except OSError as error:
        raise SubmissionError(f"{path} cannot be unpacked: {error}") from error
    finally:
        remove(unfinished)
    return into


def _unzip(path: Path, into: Path) -> None:
    allowed = min(BYTES, max(SMALL, RATIO * path.stat().st_size))
    try:
        with path.open("rb") as file:
            end = zipfile._EndRecData(file)  # type: ignore[attr-defined]  # noqa: SLF001  # before all names are read
        if end is None or end[zipfile._ECD_SIZE] > FILES * NAME:  # type: ignore[attr-defined]  # noqa: SLF001
            raise SubmissionError(_too_many(path))
        with zipfile.ZipFile(path) as archive:
            _write(_in_zip(archive, path), into, path, allowed)
    except DAMAGED as error:
        raise SubmissionError(f"{path} is a damaged zip ({error}); pack it again") from error


def _in_zip(archive: zipfile.ZipFile, path: Path) -> Iterator[_SubmittedFile]:
    for info in archive.infolist():
        name = info.filename.replace("\\", "/")  # some systems use backslashes
        shown = f"{path}: {shortened(repr(name))}"
        parts = PurePosixPath(name).parts
        if name.startswith("/") or ".." in parts or name[1:2] == ":":
            raise SubmissionError(f"{shown} would be written outside; pack it without such paths")
        if stat.S_IFMT(info.external_attr >> 16) not in {0, stat.S_IFREG, stat.S_IFDIR}:
            raise SubmissionError(f"{shown} is a link or a special file; hand in plain files")
        if name.endswith("/") or not JUNK.isdisjoint(parts):
            continue
        if info.flag_bits & 1:
            raise SubmissionError(f"{shown} is encrypted; pack it without a password")
        if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise SubmissionError(f"{shown} is compressed by an unusual method; pack it as an ordinary zip")
        yield _SubmittedFile(parts, partial(archive.open, info))


def _in_folder(path: Path) -> Iterator[_SubmittedFile]:
    left_out = LeftOut()
    for entries in walk(path, left_out, FileLimits(entries=ENTRIES, depth=DEPTH)):
        entries[:] = [entry for entry in entries if entry.parts[-1] not in JUNK]
        if any(entry.parts[-1] == "pyvenv.cfg" for entry in entries):  # a virtual environment, whatever its name
            entries.clear()
        for entry in entries:
            if entry.kind not in ("file", "folder"):
                place = path.joinpath(*entry.parts)
                raise SubmissionError(f"{place} is a link or a special file; hand in plain files")
            if entry.kind == "file":
                yield _SubmittedFile(entry.parts, partial(open_file, path, entry.parts))
    for reason, names in left_out.found.items():
        raise SubmissionError(
            f"{path} has {reason}, {shortened(names[0])} first; hand in the code, the data and the adapter only"
        )


def _write(entries: Iterator[_SubmittedFile], into: Path, path: Path, allowed: int) -> None:
    """Writes each entry, and counts the bytes that are read instead of the sizes that the zip declares."""
    left = allowed
    for number, entry in enumerate(entries):
        if number >= FILES:
            raise SubmissionError(_too_many(path))
        if len(entry.parts) > DEPTH:
            raise SubmissionError(f"{path} has folders more than {DEPTH} deep; hand in the package's own folder")
        target = into.joinpath(*entry.parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            sink = target.open("xb")
        except FileExistsError as error:
            raise SubmissionError(f"{path} holds {shortened('/'.join(entry.parts))} twice; pack it again") from error
        with sink, entry.open() as source:
            while chunk := source.read(CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise SubmissionError(f"{path} holds more than {allowed} bytes, or is a zip bomb; hand in less")
                sink.write(chunk)


def _too_many(path: Path) -> str:
    return f"{path} holds more than {FILES} files; hand in the code, the data and the adapter only"
