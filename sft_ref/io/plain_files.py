"""Lists, copies and removes files that untrusted code wrote.

Follows no link, opens regular files only, and reads a bounded number of entries. It works with descriptors of folders,
not with paths: no part of a path can be replaced with a link, and no path is too long.
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
"""Largest number of bytes of a path; Linux accepts 4095."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True)
class FileLimits:
    """Limits on reading a folder.

    Attributes:
        entries: number of files, folders and other entries, the shallowest first.
        depth: number of nested folders.
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
    """An entry of a folder.

    Attributes:
        parts: the names of its parent folders, and its own.
        kind: a link is never resolved; a special file is a pipe, a socket or a device.
        size: bytes of a file.
    """

    parts: Parts
    kind: Kind
    size: int = 0


@dataclass
class LeftOut:
    """Entries that were not read, by reason."""

    found: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, parts: Parts) -> None:
        """Adds one entry."""
        self.found.setdefault(reason, []).append("/".join(parts)[:200] or ".")

    def lines(self) -> tuple[str, ...]:
        """Returns one line for each reason."""
        return tuple(f"not read: {len(names)} {reason}, such as {names[0]!r}" for reason, names in self.found.items())


def walk(root: Path, left_out: LeftOut, limits: FileLimits = LIMITS, within: Parts = ()) -> Iterator[list[Entry]]:
    """Yields the entries of each folder, sorted by name; the shallowest folders first.

    Args:
        root: a folder whose own path contains no link of untrusted code.
        left_out: collects entries that are too deep, too many, or cannot be listed.
        limits: limits on entries and depth.
        within: the folder below `root` where the walk starts.

    Yields:
        The entries of one folder, with parts relative to the start. Folders that the caller removes are not entered.
    """
    pending: list[Parts] = [()]
    seen = 0
    for parts in pending:  # grows in the loop
        try:
            entries, is_cut = _list(root, within, parts, limits.entries - seen)
        except OSError:
            left_out.add("folders that cannot be listed", parts)
            continue
        seen += len(entries)
        if is_cut:
            left_out.add(f"folders with more entries than the limit, {limits.entries} in all", parts)
        yield entries
        for entry in entries:
            if entry.kind == "folder":
                if len(entry.parts) < limits.depth:
                    pending.append(entry.parts)
                else:
                    left_out.add(f"folders more than {limits.depth} deep", entry.parts)


def list_files(root: Path, *, links: bool = False) -> list[Path]:
    """Returns the regular files of a folder at any depth, the shallowest first, sorted by name.

    Args:
        root: the folder.
        links: whether links are listed as well; they are not followed.
    """
    kinds = {"file", "link"} if links else {"file"}
    return [
        root.joinpath(*entry.parts) for entries in walk(root, LeftOut()) for entry in entries if entry.kind in kinds
    ]


def copy_folder(root: Path, within: Parts, into: Path, limits: FileLimits = LIMITS) -> LeftOut:
    """Copies the regular files of a folder, and returns what was left out.

    Args:
        root: a folder that untrusted code may write to.
        within: parts of the path below `root` to copy; this entry may be of any kind.
        into: destination, out of reach of untrusted code; it is removed first.
        limits: limits on the copied files.

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
                entries.remove(entry)  # so that the walk does not enter it
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
    """Copies `left` bytes; raises write errors, such as a full disk."""
    while chunk := source.read(min(_CHUNK, left)):
        left -= len(chunk)
        if chunk.strip(b"\0"):
            sink.write(chunk)
        else:
            sink.seek(len(chunk), os.SEEK_CUR)  # a sparse file stays sparse
    sink.truncate()


def open_file(root: Path, parts: Parts) -> io.BufferedReader:
    """Opens a regular file below a folder.

    Raises:
        OSError: it is missing, not a regular file, or its path contains a link.
    """
    with _opened(root, parts[:-1]) as folder:
        descriptor = os.open(parts[-1], _FILE, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{'/'.join(parts)} is not a regular file")
    return os.fdopen(descriptor, "rb")


def hash_file(root: Path, parts: Parts) -> str:
    """Returns the SHA-256 of a regular file below a folder; empty if there is none."""
    try:
        with open_file(root, parts) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return ""


def make_folder(root: Path, parts: Parts) -> Path:
    """Creates a folder below another one, and removes whatever else is in its path."""
    for number, name in enumerate(parts, 1):
        with _opened(root, parts[: number - 1]) as parent:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, dir_fd=parent)
            if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                os.unlink(name, dir_fd=parent)
                os.mkdir(name, dir_fd=parent)
    return root.joinpath(*parts)


def put_files(source: Path, root: Path, parts: Parts) -> None:
    """Copies the files of a trusted folder into a folder below one that untrusted code wrote; creates it if missing.

    Files of the same name are replaced; others are kept.
    """
    folder = make_folder(root, parts)
    for path in source.iterdir():
        remove(folder / path.name)
        shutil.copyfile(path, folder / path.name)


def remove(path: Path) -> None:
    """Removes a file, link or folder of any depth, if it exists. Links are not followed."""
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
    """Creates a temporary folder with a neutral name, and removes it at the end, whatever untrusted code left in it."""
    folder = Path(tempfile.mkdtemp()).resolve()
    try:
        yield folder
    finally:
        remove(folder)


def _remove(parent: int, name: str) -> None:
    """Removes an entry; moves subfolders up to the parent before removing a folder, so that no path is too long."""
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
    """Returns up to `most` entries of a folder, sorted by name, and whether there are more."""
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
    """Opens a descriptor of a folder below another one.

    Raises:
        OSError: a part of the path is missing, or is not a folder.
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
