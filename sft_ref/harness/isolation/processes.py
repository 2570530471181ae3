"""A tree of processes: how many they are, what time they use, and the end of all of them.

Knows nothing of why they run. Linux also counts what was orphaned, where the root of the tree adopts orphans.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path

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


class Times:
    """Processor time of all threads of a tree, and how long they waited for a processor.

    What a thread used last is kept when it has ended. Linux tells the waiting; elsewhere `waited` is None.
    """

    def __init__(self) -> None:
        self._threads: dict[tuple[int, int], tuple[float, float]] = {}
        self._whole: dict[int, float] = {}

    def look(self, processes: list[psutil.Process]) -> None:
        """Reads the times as they are now."""
        for process in processes:
            tasks = Path(f"/proc/{process.pid}/task")
            for thread in _names(tasks):  # a process may end meanwhile
                with contextlib.suppress(OSError, ValueError, IndexError):
                    ran, waited = (tasks / thread / "schedstat").read_text(encoding="ascii").split()[:2]
                    self._threads[process.pid, int(thread)] = int(ran) / 1e9, int(waited) / 1e9
            if not self._threads:
                with contextlib.suppress(psutil.Error):
                    self._whole[process.pid] = sum(process.cpu_times()[:2])

    @property
    def busiest(self) -> float:
        """Seconds of processor time of the thread that used most; of the process, where threads are not told."""
        return max([ran for ran, _ in self._threads.values()] + list(self._whole.values()), default=0.0)

    @property
    def total(self) -> float:
        """Seconds of processor time of all threads."""
        return sum(ran for ran, _ in self._threads.values()) + sum(self._whole.values())

    @property
    def waited(self) -> float | None:
        """Seconds for which threads were ready to run and got no processor, summed over them."""
        return sum(waited for _, waited in self._threads.values()) if self._threads else None


def stolen() -> float:
    """Seconds that the host of a virtual machine has kept from its processors since the start; 0 where unknown."""
    with contextlib.suppress(psutil.Error, OSError):
        return float(getattr(psutil.cpu_times(), "steal", 0.0))
    return 0.0


def count_memory_kills() -> int:
    """Processes that this machine has killed for want of memory since it was started; 0 where it does not tell."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


def running_thread(pid: int) -> int | None:
    """A thread of a process that has not ended, the first one if it can be; None where there is none, or no /proc.

    The first one may end before the others. The process then looks like one that has ended, and goes on.
    """
    for thread in itertools.chain([str(pid)], _names(Path(f"/proc/{pid}/task"))):
        with contextlib.suppress(OSError, IndexError):
            told = Path(f"/proc/{thread}/stat").read_text(encoding="utf-8", errors="replace")
            if told.rpartition(")")[2].split()[0] not in {"Z", "X"}:
                return int(thread)
    return None


def _names(folder: Path) -> Iterator[str]:
    with contextlib.suppress(OSError):
        yield from os.listdir(folder)  # noqa: PTH208  # names are enough


def _runs(process: psutil.Process) -> bool:
    try:
        if not process.is_running():
            return False
        ended = process.status() in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
    except psutil.Error:
        return False
    return not ended or running_thread(process.pid) is not None
