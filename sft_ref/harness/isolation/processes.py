"""Lists the processes of a tree, measures their processor time, and kills them.

It does not depend on their purpose. On Linux it includes orphans, if the root of the tree adopts them.
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
"""Seconds until killing is given up: a process may wait in the kernel, where signals do not reach it."""


class ProcessTree:
    """The descendants of one process, without that process.

    Args:
        root: the process id; the caller must have started it, and not have waited for it.
    """

    def __init__(self, root: int) -> None:
        self._root = psutil.Process(root)
        self._seen: set[psutil.Process] = set()

    def living(self) -> list[psutil.Process]:
        """Returns the processes that run now, including those that have left the tree."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self._seen.update(self._root.children(recursive=True))
        self._seen = {process for process in self._seen if _runs(process)}
        return list(self._seen)

    def kill(self) -> bool:
        """Kills all processes, including new ones, and returns whether none is left."""
        end = time.monotonic() + PATIENCE
        while living := self.living():
            for process in living:  # suspend all first: a suspended process starts no other
                with contextlib.suppress(psutil.Error):
                    process.suspend()
            for process in living:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            if time.monotonic() > end:
                return False
            time.sleep(0.001)
        return True


class ProcessTimes:
    """Processor time of all threads of a tree, and the time they waited for a processor.

    The last value of a thread that has ended is kept. Only Linux reports waiting; elsewhere `waited` is None.
    """

    def __init__(self) -> None:
        self._threads: dict[tuple[int, int], tuple[float, float]] = {}
        self._whole: dict[int, float] = {}

    def look(self, processes: list[psutil.Process]) -> None:
        """Reads the current times."""
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
        """Processor seconds of the busiest thread; of the busiest process, if threads are not reported."""
        return max([ran for ran, _ in self._threads.values()] + list(self._whole.values()), default=0.0)

    @property
    def total(self) -> float:
        """Processor seconds of all threads."""
        return sum(ran for ran, _ in self._threads.values()) + sum(self._whole.values())

    @property
    def waited(self) -> float | None:
        """Seconds for which threads were ready to run and had no processor, summed over threads."""
        return sum(waited for _, waited in self._threads.values()) if self._threads else None


def stolen() -> float:
    """Returns the seconds that the host of a virtual machine has taken from its processors since boot; 0 if unknown."""
    with contextlib.suppress(psutil.Error, OSError):
        return float(getattr(psutil.cpu_times(), "steal", 0.0))
    return 0.0


def count_memory_kills() -> int:
    """Returns the number of processes killed on this machine for lack of memory since boot; 0 if unknown."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


def running_thread(pid: int) -> int | None:
    """Returns a running thread of a process, the main one if possible; None if there is none, or no /proc.

    The main thread may end before the others. The process then looks as if it had ended, although it still runs.
    """
    for thread in itertools.chain([str(pid)], _names(Path(f"/proc/{pid}/task"))):
        with contextlib.suppress(OSError, IndexError):
            fields = Path(f"/proc/{thread}/stat").read_text(encoding="utf-8", errors="replace")
            if fields.rpartition(")")[2].split()[0] not in {"Z", "X"}:
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
