"""A control group of Linux (cgroup v2) for one run: the kernel itself then holds its memory and counts its processes.

It is used where this process may make one, and where a trial shows that its limit holds; `why_not` says why it is not.
"""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

NEEDED = frozenset({"memory", "pids"})
PATIENCE = 10.0
"""Seconds until a group is left behind whose processes do not end."""
TRIAL = 2**26
"""Bytes of the trial's limit; it asks for many times as much."""
ENTER = 'echo 0 >"$0" && exec "$@"'
"""Moves a process into the group whose list of processes is named, before it becomes the command."""


@dataclass(frozen=True)
class Group:
    """A group that exists.

    Attributes:
        folder: where the kernel shows it.
    """

    folder: Path

    def entering(self, command: Sequence[str]) -> list[str]:
        """A command line that runs a command within the group from its first instruction on."""
        return ["/bin/sh", "-c", ENTER, str(self.folder / "cgroup.procs"), *command]

    @property
    def has_run_out(self) -> bool:
        """Whether the kernel has killed in it for want of memory."""
        events = (self.folder / "memory.events").read_text(encoding="ascii").split()
        return int(dict(zip(events[::2], events[1::2], strict=True)).get("oom_kill", 0)) > 0

    def remove(self) -> None:
        """Kills all that is in it, and removes it."""
        (self.folder / "cgroup.kill").write_text("1", encoding="ascii")
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            with contextlib.suppress(OSError):  # busy, as long as what was killed has not ended
                self.folder.rmdir()
                return
            time.sleep(0.01)


@contextlib.contextmanager
def make_group(parent: Path, *, memory: int, processes: int) -> Iterator[Group]:
    """A group for one run, removed afterwards with all that is left in it.

    Args:
        parent: the group in which it is made.
        memory: bytes that it may hold.
        processes: how many processes and threads it may have.

    Raises:
        OSError: the kernel makes none, or takes no limit.
    """
    group = Group(Path(tempfile.mkdtemp(prefix="sft_ref.", dir=parent)))
    try:
        limits = {"memory.max": memory, "pids.max": processes, "memory.oom.group": 1}
        for name, value in limits.items():
            (group.folder / name).write_text(str(value), encoding="ascii")
        with contextlib.suppress(FileNotFoundError):  # a kernel without swap has no limit of it
            (group.folder / "memory.swap.max").write_text("0", encoding="ascii")
        yield group
    finally:
        group.remove()


@functools.cache
def find_parent() -> Path | None:
    """The nearest group above this process in which limited groups can be made by it; None where there is none."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
        own = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    tops = [Path(line.split()[4]) for line in mounts if line.partition(" - ")[2].startswith("cgroup2 ")]
    paths = [line.removeprefix("0::/") for line in own if line.startswith("0::/")]
    return choose_parent(tops[0] / paths[0], tops[0]) if tops and paths else None


def choose_parent(own: Path, top: Path) -> Path | None:
    """The nearest of a group and those above it that hands its controllers on, and that this user may change."""
    for folder in (own, *own.parents):
        if not folder.is_relative_to(top):
            break
        with contextlib.suppress(OSError):
            controllers = (folder / "cgroup.subtree_control").read_text(encoding="ascii").split()
            if controllers and NEEDED.issubset(controllers) and _is_writable(folder):
                return folder
    return None


def _is_writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK) and os.access(folder / "cgroup.procs", os.W_OK)


@functools.cache
def why_not() -> str:
    """Why the kernel does not hold the limits on this machine, a clause; empty where a trial shows that it does."""
    parent = find_parent()
    if parent is None:
        return "no cgroup v2 with the controllers memory and pids is delegated to this process"
    code = f"bytearray({16 * TRIAL})"
    try:
        with make_group(parent, memory=TRIAL, processes=16) as group:
            line = group.entering([sys.executable, "-I", "-S", "-c", code])
            tried = subprocess.run(line, capture_output=True, check=False, timeout=60)  # noqa: S603  # never a shell
            if tried.returncode == 0 or not group.has_run_out:
                return f"a cgroup below {parent} does not hold its limit"
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return f"no cgroup can be made below {parent}: {error}"
    return ""
