"""Creates a Linux control group (cgroup v2) for one run, so that the kernel limits memory and processes.

It is used if this process may create one, and a trial shows that its limit is enforced; otherwise `why_not` returns the
reason.
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
"""Seconds to wait for the processes of a group to end, before the group is abandoned."""
TRIAL = 2**26
"""The memory limit of the trial in bytes; the trial tries to allocate many times as much."""
ENTER = 'echo 0 >"$0" && exec "$@"'
"""Moves the process into the group with this process list, then becomes the command."""


@dataclass(frozen=True)
class Group:
    """An existing group.

    Attributes:
        folder: its folder in the cgroup file system.
    """

    folder: Path

    def command_in_group(self, command: Sequence[str]) -> list[str]:
        """Returns the command line that runs a command inside the group from its start."""
        return ["/bin/sh", "-c", ENTER, str(self.folder / "cgroup.procs"), *command]

    @property
    def has_run_out(self) -> bool:
        """Whether the kernel has killed a process of the group because of its memory limit."""
        events = (self.folder / "memory.events").read_text(encoding="ascii").split()
        return int(dict(zip(events[::2], events[1::2], strict=True)).get("oom_kill", 0)) > 0

    def remove(self) -> None:
        """Kills all processes of the group, and removes it."""
        (self.folder / "cgroup.kill").write_text("1", encoding="ascii")
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            with contextlib.suppress(OSError):  # busy until the killed processes have ended
                self.folder.rmdir()
                return
            time.sleep(0.01)


@contextlib.contextmanager
def make_group(parent: Path, *, memory: int, processes: int) -> Iterator[Group]:
    """Creates a group for one run; at the end it is removed with all its processes.

    Args:
        parent: the parent group.
        memory: limit in bytes.
        processes: limit on processes and threads.

    Raises:
        OSError: the kernel refuses the group or a limit.
    """
    group = Group(Path(tempfile.mkdtemp(prefix="sft_ref.", dir=parent)))
    try:
        limits = {"memory.max": memory, "pids.max": processes, "memory.oom.group": 1}
        for name, value in limits.items():
            (group.folder / name).write_text(str(value), encoding="ascii")
        with contextlib.suppress(FileNotFoundError):  # a kernel without swap has no such limit
            (group.folder / "memory.swap.max").write_text("0", encoding="ascii")
        yield group
    finally:
        group.remove()


@functools.cache
def find_parent() -> Path | None:
    """Returns the nearest group above this process in which it can create groups with limits; None if there is none."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
        own = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    tops = [Path(line.split()[4]) for line in mounts if line.partition(" - ")[2].startswith("cgroup2 ")]
    paths = [line.removeprefix("0::/") for line in own if line.startswith("0::/")]
    return choose_parent(tops[0] / paths[0], tops[0]) if tops and paths else None


def choose_parent(own: Path, top: Path) -> Path | None:
    """Returns the nearest group, starting at `own`, that delegates its controllers and is writable for this user."""
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
    """Returns a clause that says why the kernel does not enforce the limits; empty if a trial shows that it does."""
    parent = find_parent()
    if parent is None:
        return "no cgroup v2 with the controllers memory and pids is delegated to this process"
    code = f"bytearray({16 * TRIAL})"
    try:
        with make_group(parent, memory=TRIAL, processes=16) as group:
            line = group.command_in_group([sys.executable, "-I", "-S", "-c", code])
            tried = subprocess.run(line, capture_output=True, check=False, timeout=60)  # noqa: S603  # never a shell
            if tried.returncode == 0 or not group.has_run_out:
                return f"a cgroup below {parent} does not enforce its limit"
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return f"no cgroup can be created below {parent}: {error}"
    return ""
