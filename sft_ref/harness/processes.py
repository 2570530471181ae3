"""A tree of processes: how many they are, what memory they hold, and the end of all of them.

Knows nothing of why they run. Linux also counts what was orphaned, where the root of the tree adopts orphans.
"""

from __future__ import annotations

import contextlib
import time

import psutil

PATIENCE = 10.0
"""Seconds until killing is given up: a process may wait in the kernel, where no signal reaches it."""


class Tree:
    """All that descends from one process, that process itself left out.

    Args:
        root: the process id; it must have been started by the caller and not been waited for.
    """

    def __init__(self, root: int) -> None:
        self._root = psutil.Process(root)
        self._seen: set[psutil.Process] = set()

    def living(self) -> list[psutil.Process]:
        """The processes that run now, among them any once seen in the tree that has left it since."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self._seen.update(self._root.children(recursive=True))
        self._seen = {process for process in self._seen if _runs(process)}
        return list(self._seen)

    def kill(self) -> bool:
        """Kills until none is left, new ones too; whether that came to pass."""
        end = time.monotonic() + PATIENCE
        while living := self.living():
            for process in living:  # first all stand still: what is stopped starts no other
                with contextlib.suppress(psutil.Error):
                    process.suspend()
            for process in living:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            if time.monotonic() > end:
                return False
            time.sleep(0.001)
        return True


def memory(processes: list[psutil.Process]) -> int:
    """Bytes that the processes hold: each one's resident memory, what is shared counted with each that shares it."""
    return sum(_resident(process) for process in processes)


def memory_shared_once(processes: list[psutil.Process]) -> int:
    """The same with what n processes share counted as 1/n in each; slower, and where it is hidden, as in `memory`."""
    total = 0
    for process in processes:
        try:
            total += process.memory_full_info().pss
        except (psutil.Error, AttributeError):
            total += _resident(process)
    return total


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() not in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD})
    except psutil.Error:
        return False
