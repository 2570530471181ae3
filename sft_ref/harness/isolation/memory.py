"""Measures the memory of a tree of processes from outside, on Linux; elsewhere its resident memory only.

Memory that belongs to no process is counted as well: files in memory, and data in sockets and pipes. Only a cgroup
counts the rest: kernel objects such as mappings, and data in transit in TCP, which the kernel limits for the whole
machine.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from .processes import running_thread

DESCRIPTOR = 4096
"""Bytes counted for each open file: a pipe has two ends and, for a user with many pipes, at least two pages."""
_LOOKS = 2
"""Number of times that the processes are read: when one ends, the shares of the others in shared memory grow."""
MEMORY_DISKS = ("tmp", "dev/shm")
"""Folders of the sandbox that are in memory."""


@dataclass(frozen=True)
class Disks:
    """The usage of the sandbox's in-memory folders.

    Attributes:
        size: bytes.
        files: number of files and folders.
    """

    size: int = 0
    files: int = 0


def exceeds(processes: Sequence[psutil.Process], limit: int, *, sandboxed: bool) -> bool:
    """Whether processes use more memory than a limit; shared memory is counted once.

    Args:
        processes: they may share memory.
        limit: in bytes.
        sandboxed: whether they have their own network and in-memory folders, which count as well.
    """
    beside = look_at_disks(processes).size if sandboxed else 0
    queued = _in_sockets(processes) if sandboxed else 0
    if beside + queued + sum(map(_held, processes)) <= limit:  # fast, and an upper bound
        return False
    for _ in range(_LOOKS):
        alone, mapped = 0, 0
        for process in processes:
            own, of_files = _held_alone(process)
            alone, mapped = alone + own, mapped + of_files
        if max(0, beside - mapped) + queued + alone <= limit:
            return False
    return True


def look_at_disks(processes: Iterable[psutil.Process]) -> Disks:
    """Returns the usage of a sandbox's in-memory folders; zero while the sandbox is being set up."""
    for place in itertools.chain.from_iterable(map(_places, processes)):
        root = Path(place, "root")
        with contextlib.suppress(OSError):
            if os.path.samestat((root / ".").stat(), Path("/").stat()):
                continue
            found = [os.statvfs(root / folder) for folder in MEMORY_DISKS]
            size = sum((each.f_blocks - each.f_bfree) * each.f_frsize for each in found)
            return Disks(size, sum(each.f_files - each.f_ffree for each in found))
    return Disks()


def count_open_files(processes: Iterable[psutil.Process]) -> int:
    """Counts the descriptors of the processes; an inherited one counts for each process."""
    return sum(_count_open_files(process) for process in processes)


def _count_open_files(process: psutil.Process) -> int:
    for place in _places(process):
        with contextlib.suppress(OSError):
            if count := len(os.listdir(f"{place}/fd")):  # noqa: PTH208  # names are enough
                return count
    return 0


def _in_sockets(processes: Iterable[psutil.Process]) -> int:
    """Returns the maximum number of bytes in all sockets of the processes' network, including closed sockets."""
    for place in itertools.chain.from_iterable(map(_places, processes)):
        net = Path(place, "net")
        with contextlib.suppress(OSError, ValueError, IndexError):
            counters = {
                line.split()[0]: line.split()
                for line in (net / "sockstat").read_text(encoding="ascii").splitlines()
                if line
            }
            usual = int(Path("/proc/sys/net/core/wmem_default").read_text(encoding="ascii"))
            held = int(counters["sockets:"][2]) * usual
            if int(counters["TCP:"][2]):  # they may hold more than the default, and report it
                held += sum(_in_queues(net / name) for name in ("tcp", "tcp6"))
            return held
    return 0


def _in_queues(table: Path) -> int:
    """Returns the number of bytes that wait in the send and receive queues of a table of sockets."""
    with contextlib.suppress(OSError):
        queues = (line.split()[4].split(":") for line in table.read_text(encoding="ascii").splitlines()[1:])
        return sum(int(sent, 16) + int(received, 16) for sent, received in queues)
    return 0


def _held(process: psutil.Process) -> int:
    """Returns the bytes of one process, including shared memory."""
    found = _sizes(process, "status")
    if "VmRSS" in found:
        return found["VmRSS"] + found.get("VmSwap", 0) + _out_of_sight(process, found)
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _held_alone(process: psutil.Process) -> tuple[int, int]:
    """Returns a process's bytes, with memory shared by n processes counted as 1/n, and its part of in-memory files."""
    found = _sizes(process, "smaps_rollup")
    if "Pss" not in found:  # hidden, or an older kernel
        return _held(process), 0
    own = found["Pss"] + found.get("SwapPss", 0) + _out_of_sight(process, _sizes(process, "status"))
    return own, found.get("Pss_Shmem", 0)


def _out_of_sight(process: psutil.Process, status: dict[str, int]) -> int:
    """Returns the bytes that are used without being mapped: page tables, and buffers of open files."""
    return status.get("VmPTE", 0) + _count_open_files(process) * DESCRIPTOR


def _sizes(process: psutil.Process, file: str) -> dict[str, int]:
    """Returns the sizes in a file of /proc, in bytes."""
    for place in _places(process):
        with contextlib.suppress(OSError):
            text = Path(place, file).read_text(encoding="utf-8", errors="replace")
            lines = [line.split() for line in text.splitlines() if line.endswith(" kB")]
            if lines:
                return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines}
    return {}


def _places(process: psutil.Process) -> Iterator[str]:
    """Yields a process's /proc folder, then that of a running thread: a main thread that has ended reports nothing."""
    yield f"/proc/{process.pid}"
    thread = running_thread(process.pid)
    if thread not in {None, process.pid}:
        yield f"/proc/{thread}"
