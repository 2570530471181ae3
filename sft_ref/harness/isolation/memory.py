"""What a tree of processes holds in memory, told by Linux from outside; elsewhere its resident memory alone.

What belongs to no process is counted as well: files in memory, and what lies in sockets and pipes. Only a cgroup counts
what is left: kernel objects such as mappings, and what is under way in TCP, which the kernel bounds for the machine.
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
"""Bytes counted for each open file: a pipe of a user with many keeps two pages at least, for two ends."""
MEMORY_DISKS = ("tmp", "dev/shm")
"""Folders of the sandbox that lie in memory."""


@dataclass(frozen=True)
class Disks:
    """What the sandbox's folders in memory hold.

    Attributes:
        size: bytes.
        files: how many files and folders.
    """

    size: int = 0
    files: int = 0


def exceeds(processes: Sequence[psutil.Process], limit: int, *, sandboxed: bool) -> bool:
    """Whether processes hold more memory than a limit; what several share is counted once.

    Args:
        processes: that may share memory with one another.
        limit: in bytes.
        sandboxed: whether they have a network and folders in memory of their own, which are counted then.
    """
    beside = look_at_disks(processes).size if sandboxed else 0
    queued = _in_sockets(processes) if sandboxed else 0
    if beside + queued + sum(map(_held, processes)) <= limit:  # quick, and rather too much than too little
        return False
    alone, mapped = 0, 0
    for process in processes:
        own, of_files = _held_alone(process)
        alone, mapped = alone + own, mapped + of_files
    return max(0, beside - mapped) + queued + alone > limit


def look_at_disks(processes: Iterable[psutil.Process]) -> Disks:
    """What the folders in memory hold that processes of one sandbox see; nothing while it is being set up."""
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
    """Descriptors of the processes; one that several of them inherited is counted with each."""
    return sum(_count_open_files(process) for process in processes)


def _count_open_files(process: psutil.Process) -> int:
    for place in _places(process):
        with contextlib.suppress(OSError):
            if count := len(os.listdir(f"{place}/fd")):  # noqa: PTH208  # names are enough
                return count
    return 0


def _in_sockets(processes: Iterable[psutil.Process]) -> int:
    """Bytes that all sockets of the processes' own network may hold, those that nobody has open any more too."""
    for place in itertools.chain.from_iterable(map(_places, processes)):
        net = Path(place, "net")
        with contextlib.suppress(OSError, ValueError, IndexError):
            told = {
                line.split()[0]: line.split()
                for line in (net / "sockstat").read_text(encoding="ascii").splitlines()
                if line
            }
            usual = int(Path("/proc/sys/net/core/wmem_default").read_text(encoding="ascii"))
            held = int(told["sockets:"][2]) * usual
            if int(told["TCP:"][2]):  # these hold more than is usual, and tell it
                held += sum(_in_queues(net / name) for name in ("tcp", "tcp6"))
            return held
    return 0


def _in_queues(table: Path) -> int:
    """Bytes sent and received that wait, of all lines of a table of sockets."""
    with contextlib.suppress(OSError):
        queues = (line.split()[4].split(":") for line in table.read_text(encoding="ascii").splitlines()[1:])
        return sum(int(sent, 16) + int(received, 16) for sent, received in queues)
    return 0


def _held(process: psutil.Process) -> int:
    """Bytes of one process, what it shares included."""
    found = _sizes(process, "status")
    if "VmRSS" in found:
        return found["VmRSS"] + found.get("VmSwap", 0) + _out_of_sight(process, found)
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _held_alone(process: psutil.Process) -> tuple[int, int]:
    """Bytes of one process, with what n processes share counted as 1/n; and how much of it is of files in memory."""
    found = _sizes(process, "smaps_rollup")
    if "Pss" not in found:  # hidden, or an older kernel
        return _held(process), 0
    own = found["Pss"] + found.get("SwapPss", 0) + _out_of_sight(process, _sizes(process, "status"))
    return own, found.get("Pss_Shmem", 0)


def _out_of_sight(process: psutil.Process, status: dict[str, int]) -> int:
    """Bytes that are mapped nowhere and taken all the same: tables of pages, and what is behind open files."""
    return status.get("VmPTE", 0) + _count_open_files(process) * DESCRIPTOR


def _sizes(process: psutil.Process, file: str) -> dict[str, int]:
    """The sizes that a file of /proc tells, in bytes."""
    for place in _places(process):
        with contextlib.suppress(OSError):
            text = Path(place, file).read_text(encoding="utf-8", errors="replace")
            lines = [line.split() for line in text.splitlines() if line.endswith(" kB")]
            if lines:
                return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines}
    return {}


def _places(process: psutil.Process) -> Iterator[str]:
    """Where /proc tells of a process; then at a thread that runs, for the first one tells nothing when it has ended."""
    yield f"/proc/{process.pid}"
    thread = running_thread(process.pid)
    if thread not in {None, process.pid}:
        yield f"/proc/{thread}"
