"""Detects whether a folder has too many files, without counting them at every poll.

A drop in the number of free inodes shows at once that there are many new files, but not in which folder. Only then is
the folder counted, up to the limit. If the file system does not report inodes, the folder is counted from time to time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

REST = 20
"""Without inodes, a count is followed by a pause of this multiple of its duration, at least a second."""
FORMER = 10
"""Earlier files are counted up to this multiple of the limit, because several earlier runs may have left files."""


class FileCount:
    """Watches one folder.

    Args:
        folder: the folder, counted recursively.
        limit: number of new files and folders.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self._limit = folder, limit
        self._before = count_files(folder, FORMER * limit)
        self._free = _free_inodes(folder)
        self._next = time.monotonic()

    def exceeds(self, count_open: Callable[[], int]) -> bool:
        """Whether there are too many files now.

        Args:
            count_open: returns the number of open files; some of them may have no name any more.
        """
        free = _free_inodes(self._folder)
        if free is not None and self._free is not None and self._free - free <= self._limit:
            return False
        if free is None and time.monotonic() < self._next:
            return False
        began = time.monotonic()
        new = count_files(self._folder, self._before + self._limit) - self._before
        self._next = time.monotonic() + max(1.0, REST * (time.monotonic() - began))
        if free is not None:
            self._free = free + new  # the other files belong to other folders
        return new + count_open() > self._limit


def count_files(folder: Path, limit: int) -> int:
    """Counts files and folders below a folder; returns `limit` + 1 if there are more, or if counting fails.

    Counting fails if a folder is too deep to have a path, or not listable.
    """
    count, folders = 0, [os.fspath(folder)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    count += 1
                    if count > limit:
                        return count
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
        except (FileNotFoundError, NotADirectoryError):  # it was removed meanwhile
            continue
        except OSError:
            return limit + 1
    return count


def _free_inodes(folder: Path) -> int | None:
    """Returns the number of free inodes; None if the file system does not report it."""
    found = os.statvfs(folder)
    return found.f_ffree if found.f_files else None
