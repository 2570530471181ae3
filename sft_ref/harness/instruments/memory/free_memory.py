"""Measures the memory that this process may still allocate."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil

_CGROUP = Path("/sys/fs/cgroup")
_LIMITS = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))
"""Limit and usage of the container, in cgroup v2 and v1."""


def free_memory(cgroup: Path = _CGROUP) -> int:
    """Returns the bytes that this process may still allocate, given the limits of machine, container and process.

    Args:
        cgroup: the folder in which the kernel reports on the container.
    """
    free: list[int] = [psutil.virtual_memory().available]
    for limit, usage in _LIMITS:
        with contextlib.suppress(OSError, ValueError):  # another kernel, or no limit
            free.append(int((cgroup / limit).read_text()) - int((cgroup / usage).read_text()))
    with contextlib.suppress(ImportError, AttributeError):  # Windows and macOS
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_DATA)
        if soft != resource.RLIM_INFINITY:
            free.append(soft - psutil.Process().memory_info().data)
    return max(min(free), 0)
