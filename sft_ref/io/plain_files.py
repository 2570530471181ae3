"""Lists, copies and removes files that foreign code wrote.

Follows no link, opens plain files only, and looks at a bounded number of entries. Descriptors of folders take the place
of paths: no part of a path can be exchanged for a link, and no path is too long.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

Kind = Literal["file", "folder", "link", "special"]
Parts = tuple[str, ...]

_CHUNK = 2**20
_LONGEST = 4000
"""Bytes of a path; Linux takes 4095."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True)
class FileLimits:
    """What is read of a folder.

    Attributes:
        entries: files, folders and others that are looked at, the shallowest first.
        depth: folders within one another.
        file: bytes of one file; a sparse file counts with its length.
        total: bytes of all files.
    """

    entries: int = 10_000
    depth: int = 32
    file: int = 2**30
    total: int = 2**31


LIMITS = FileLimits()


@dataclass(frozen=True)
class Entry:
    """What a folder lists.

    Attributes:
        parts: names of the folders that lead to it, and its own.
        kind: a link is never resolved; a special file is a pipe, a socket or a device.
        size: bytes of a file.
    """

    parts: Parts
    kind: Kind
    size: int = 0


@dataclass
class LeftOut:
    """What was not read, by reason."""

    found: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, parts: Parts) -> None:
        """Counts one entry."""
        self.found.setdefault(reason, []).append("/".join(parts)[:200] or ".")

    def lines(self) -> tuple[str, ...]:
        """A line for each reason."""
        return tuple(f"not read: {len(names)} {reason}, such as {names[0]!r}" for reason, names in self.found.items())


def walk(root: Path, left_out: LeftOut, limits: FileLimits = LIMITS, within: Parts = ()) -> Iterator[list[Entry]]:
    """Gives what each folder lists, in order of names; the shallowest folders first.

    Args:
        root: a folder whose own path holds no link of foreign code.
        left_out: takes what is too deep, too many, or cannot be listed.
        limits: of entries and depth.
        within: the folder beneath it where the walk begins.

    Yields:
        Entries of one folder, their parts counted from there. Folders that are taken out of the list are not entered.
    """
    pending: list[Parts] = [()]
    seen = 0
    for parts in pending:  # which grows meanwhile
        try:
            entries, is_cut = _list(root, within, parts, limits.entries - seen)
        except OSError:
            left_out.add("folders that cannot be listed", parts)
            continue
        seen += len(entries)
        if is_cut:
            left_out.add(f"folders with more entries than are read, {limits.entries} in all", parts)
        yield entries
        for entry in entries:
            if entry.kind == "folder":
                if len(entry.parts) < limits.depth:
                    pending.append(entry.parts)
                else:
                    left_out.add(f"folders more than {limits.depth} deep", entry.parts)


def list_files(root: Path, *, links: bool = False) -> list[Path]:
    """The plain files of a folder at any depth, the shallowest first, in order of names.

    Args:
        root: the folder.
        links: whether links are listed as well; they are not followed.
    """
    kinds = {"file", "link"} if links else {"file"}
    return [
        root.joinpath(*entry.parts) for entries in walk(root, LeftOut()) for entry in entries if entry.kind in kinds
    ]


def copy_folder(root: Path, within: Parts, into: Path, limits: FileLimits = LIMITS) -> LeftOut:
    """Copies the plain files of a folder, and says what is left out.

    Args:
        root: a folder that foreign code may write to.
        within: the folder beneath it that is copied; it may be anything.
        into: where the copy is made, out of reach of foreign code; what is there is removed before.
        limits: of what is copied.

    Raises:
        OSError: the copy cannot be written.
    """
    remove(into)
    into.mkdir(parents=True)
    left_out, total = LeftOut(), 0
    for entries in walk(root, left_out, limits, within):
        for entry in list(entries):
            if len(os.fsencode(into.joinpath(*entry.parts))) > _LONGEST:
                left_out.add("paths that are too long", entry.parts)
                entries.remove(entry)  # and is not entered
            elif entry.kind == "folder":
                into.joinpath(*entry.parts).mkdir()
            elif entry.kind == "link":
                left_out.add("links", entry.parts)
            elif entry.kind == "special":
                left_out.add("pipes, sockets or devices", entry.parts)
            elif entry.size > limits.file:
                left_out.add(f"files of more than {limits.file} bytes", entry.parts)
            elif total + entry.size > limits.total:
                left_out.add(f"files beyond the first {limits.total} bytes", entry.parts)
            else:
                total += entry.size
                try:
                    source = open_file(root, (*within, *entry.parts))
                except OSError:
                    left_out.add("files that cannot be read", entry.parts)
                    continue
                with source, into.joinpath(*entry.parts).open("xb") as sink:
                    _copy(source, sink, entry.size)
    return left_out


def _copy(source: BinaryIO, sink: BinaryIO, left: int) -> None:
    """Copies so many bytes; what cannot be written, as on a full disk, is no fault of the source."""
    while chunk := source.read(min(_CHUNK, left)):
        left -= len(chunk)
        if chunk.strip(b"\0"):
            sink.write(chunk)
        else:
            sink.seek(len(chunk), os.SEEK_CUR)  # a sparse file stays sparse
    sink.truncate()


def open_file(root: Path, parts: Parts) -> io.BufferedReader:
    """Opens a plain file beneath a folder.

    Raises:
        OSError: it is missing, not plain, or a link is on the way to it.
    """
    with _opened(root, parts[:-1]) as folder:
        descriptor = os.open(parts[-1], _FILE, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{'/'.join(parts)} is no plain file")
    return os.fdopen(descriptor, "rb")


def hash_file(root: Path, parts: Parts) -> str:
    """SHA-256 of a plain file beneath a folder; empty where there is none."""
    try:
        with open_file(root, parts) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return ""


def make_folder(root: Path, parts: Parts) -> Path:
    """Makes a folder beneath another one; whatever stands on the way and is no folder is removed."""
    for number, name in enumerate(parts, 1):
        with _opened(root, parts[: number - 1]) as parent:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, dir_fd=parent)
            if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                os.unlink(name, dir_fd=parent)
                os.mkdir(name, dir_fd=parent)
    return root.joinpath(*parts)


def put_files(source: Path, root: Path, parts: Parts) -> None:
    """Copies the files of a folder of ours into one beneath a folder that foreign code wrote, made where it is missing.

    Files of the same name are replaced; others stay.
    """
    folder = make_folder(root, parts)
    for path in source.iterdir():
        remove(folder / path.name)
        shutil.copyfile(path, folder / path.name)


def remove(path: Path) -> None:
    """Removes a file, link or folder, however deep; nothing where it is missing. A link on the way is not followed."""
    try:
        parent = os.open(path.parent, _FOLDER)
    except FileNotFoundError:
        return
    try:
        _remove(parent, path.name)
    finally:
        os.close(parent)


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder of one's own that is removed in the end, whatever foreign code left in it. Its name tells nothing."""
    folder = Path(tempfile.mkdtemp()).resolve()
    try:
        yield folder
    finally:
        remove(folder)


def _remove(parent: int, name: str) -> None:
    """Moves subfolders up beside the folder before it is removed: no path gets too deep, and one folder is open."""
    pending = [name]
    while pending:
        current = pending.pop()
        try:
            mode = os.stat(current, dir_fd=parent, follow_symlinks=False).st_mode
        except FileNotFoundError:
            continue
        if not stat.S_ISDIR(mode):
            os.unlink(current, dir_fd=parent)
            continue
        os.chmod(current, 0o700, dir_fd=parent)
        folder = os.open(current, _FOLDER, dir_fd=parent)
        try:
            with os.scandir(folder) as listed:
                entries = list(listed)
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    os.chmod(entry.name, 0o700, dir_fd=folder)  # a folder that cannot be written cannot be moved
                    pending.append(f".removed-{secrets.token_hex(8)}")
                    os.rename(entry.name, pending[-1], src_dir_fd=folder, dst_dir_fd=parent)
                else:
                    os.unlink(entry.name, dir_fd=folder)
        finally:
            os.close(folder)
        os.rmdir(current, dir_fd=parent)


def _list(root: Path, within: Parts, parts: Parts, most: int) -> tuple[list[Entry], bool]:
    """Entries of a folder by name, and whether there are more than so many."""
    with _opened(root, (*within, *parts)) as folder, os.scandir(folder) as listed:
        found = list(itertools.islice(listed, most + 1))
        entries = [_entry(each, parts) for each in sorted(found[:most], key=lambda each: each.name)]
    return entries, len(found) > most


def _entry(listed: os.DirEntry[str], parts: Parts) -> Entry:
    found, place = listed.stat(follow_symlinks=False), (*parts, listed.name)
    if stat.S_ISREG(found.st_mode):
        return Entry(place, "file", found.st_size)
    if stat.S_ISDIR(found.st_mode):
        return Entry(place, "folder")
    return Entry(place, "link" if stat.S_ISLNK(found.st_mode) else "special")


@contextlib.contextmanager
def _opened(root: Path, parts: Parts) -> Iterator[int]:
    """A descriptor of a folder beneath another one.

    Raises:
        OSError: a part of the way is missing, or is no folder.
    """
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in parts:
            inner = os.open(name, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)
