"""Defines the resource limits of a command."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The resource limits of a command.

    Attributes:
        seconds: processor seconds per core, of the busiest thread and of all threads on all cores together. Sleeping
            counts; waiting for a processor does not.
        memory: bytes of all its processes together, including files in the sandbox's /tmp and /dev/shm; also the most
            that one process can allocate.
        processes: number of processes at the same time.
        file_size: bytes of one file, and of all files in the sandbox's /tmp or /dev/shm.
        output: number of bytes that are kept from the end of its output; 64 times as much output ends the command.
        files: number of new files and folders in the workspace, and in the sandbox's /tmp and /dev/shm.
        disk: bytes by which the free space of the workspace's disk may shrink; at most half of it.
    """

    seconds: float = 300.0
    memory: int = 8 * 2**30
    processes: int = 256
    file_size: int = 2**30
    output: int = 2**20
    files: int = 100_000
    disk: int = 8 * 2**30

    @property
    def wall(self) -> float:
        """Wall-clock seconds after which a command is stopped in any case."""
        return 5 * self.seconds + 60


def cores() -> int:
    """Returns the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
