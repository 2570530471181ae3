"""Whether a folder on disk has got too many files, found out without counting them again and again.

The file system's free inodes tell at once that there are many new files, but not whose. Only then the folder is
counted, never further than the limit. Where a file system has no number of inodes, the folder is counted now and then.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

REST = 20
"""A count of a file system without inodes is followed by a pause of so many times what it took, a second at least."""
FORMER = 10
"""Files that were there before are counted to this multiple of the limit: earlier runs may have left as many each."""


class FileCount:
    """Watches one folder.

    Args:
        folder: whose files are counted, those below it too.
        limit: how many files and folders it may get.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self._limit = folder, limit
        self._before = count_files(folder, FORMER * limit)
        self._free = _free_inodes(folder)
        self._next = time.monotonic()

    def exceeds(self, count_open: Callable[[], int]) -> bool:
        """Whether there are too many now.

        Args:
            count_open: tells how many files are open: some of them may have no name any more.
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
            self._free = free + new  # the others are not its own
        return new + count_open() > self._limit


def count_files(folder: Path, limit: int) -> int:
    """Files and folders below a folder; `limit` + 1 stands for more, and for what cannot be counted.

    That is a folder too deep to have a path, or one that nobody may list.
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
    """Files that the file system can still take; None where it does not tell."""
    found = os.statvfs(folder)
    return found.f_ffree if found.f_files else None
