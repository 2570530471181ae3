"""What a command may use, and the watch that tells from outside which of it has been used up."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What a command may use.

    Attributes:
        seconds: processor seconds per core: of the busiest thread, and of all threads on all cores together. A command
            that sleeps is charged the time that it sleeps; none is charged the time that it waits for a processor.
        memory: bytes that all its processes hold together, files in /tmp and /dev/shm of the sandbox included; one
            process cannot ask for more.
        processes: that run at the same time.
        file_size: bytes of one file, and of all in /tmp or in /dev/shm of the sandbox.
        output: bytes kept of what it prints, the last ones; 64 times as much is a flood.
        files: by which the workspace may grow, folders included; and as many in /tmp and /dev/shm of the sandbox.
        disk: bytes by which the free space beneath the workspace may shrink meanwhile; at most half of it.
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
        """Seconds by the clock after which a command is stopped in any case."""
        return 5 * self.seconds + 60


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
