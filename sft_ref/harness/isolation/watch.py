"""Watches a command from outside: collects its output, and determines its exit code or the limit that it exceeded."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import shutil
import time
from pathlib import Path
from typing import BinaryIO

from . import memory
from .file_count import FileCount
from .limits import Limits, cores
from .processes import ProcessTimes, ProcessTree, stolen

LOOK = 0.05
"""Seconds between two polls of a running tree; one takes about a millisecond."""
TIMING = 0.25
"""Seconds between two polls of its processor time."""
FLOOD = 64
"""Output beyond this multiple of the kept part ends the command; code that merely prints a lot stays below."""
CHUNK = 2**16
"""Number of bytes read at once: the size of a pipe."""
EXIT_CODE = re.compile(rb'"exit-code": (\d{1,3})\b')
"""The report of bubblewrap and `launch.py`. Without a sandbox the command can write it too, so it is not trusted."""


class Watch:
    """Watches a command from outside.

    Args:
        tree: its processes.
        workspace: the folder that it writes to.
        limits: its limits.
        began: its start time on the monotonic clock.
        sandboxed: whether it has its own network and in-memory folders.

    Attributes:
        text: the end of its output.
        code: its exit code, None until it is known.
        ended: the limit that it exceeded, or empty.
        times: its processor time.
    """

    def __init__(self, tree: ProcessTree, workspace: Path, limits: Limits, began: float, *, sandboxed: bool) -> None:
        self.text = b""
        self.code: int | None = None
        self.ended = ""
        self._tree, self._workspace, self._limits, self._began = tree, workspace, limits, began
        self.times = ProcessTimes()
        self._timed, self._stolen = began, stolen()
        self._printed = 0
        self._sandboxed = sandboxed
        self._free = shutil.disk_usage(workspace).free
        self._files = FileCount(workspace, limits.files)
        self._reported = b""

    def until_the_end(self, output: BinaryIO, status: BinaryIO) -> None:
        """Returns when the command has ended or exceeded a limit."""
        look = time.monotonic()
        with selectors.DefaultSelector() as selector:
            for pipe in (output, status):
                os.set_blocking(pipe.fileno(), False)
                selector.register(pipe, selectors.EVENT_READ)
            while not self.ended:
                ready = [key.fileobj for key, _ in selector.select(LOOK)]
                if output in ready and not self.take(output):
                    selector.unregister(output)  # closed by all writers
                if status in ready and self._has_reported(status):
                    return
                if time.monotonic() >= look:
                    self.ended = self.ended or self._hit()
                    look = time.monotonic() + LOOK

    def take(self, output: BinaryIO) -> bool:
        """Reads the available output, and returns whether there may be more."""
        while self._printed <= FLOOD * self._limits.output:
            try:
                chunk = os.read(output.fileno(), CHUNK)
            except BlockingIOError:
                return True
            if not chunk:
                return False
            self._printed += len(chunk)
            self.text = (self.text + chunk)[-self._limits.output :]
        self.ended = "output"
        return False

    def _has_reported(self, status: BinaryIO) -> bool:
        """Whether the command has ended: its exit code was reported, or no process is left to report it."""
        with contextlib.suppress(BlockingIOError):
            chunk = os.read(status.fileno(), CHUNK)
            self._reported = (self._reported + chunk)[-CHUNK:]
            if found := EXIT_CODE.search(self._reported):
                self.code = int(found[1])
            return not chunk or found is not None
        return False

    def _hit(self) -> str:
        """Returns the limit that is exceeded now, or an empty text."""
        living = self._tree.living()
        if time.monotonic() >= self._timed:
            self._timed = time.monotonic() + TIMING
            self.times.look(living)
        if limit := self._time_is_up(time.monotonic() - self._began):
            return limit
        if len(living) > self._limits.processes:
            return "processes"
        if memory.exceeds(living, self._limits.memory, sandboxed=self._sandboxed):
            return "memory"
        if self._free - shutil.disk_usage(self._workspace).free > min(self._limits.disk, self._free // 2):
            return "disk"
        if self._sandboxed and memory.look_at_disks(living).files > self._limits.files:
            return "files"
        return "files" if self._files.exceeds(lambda: memory.count_open_files(living)) else ""

    def _time_is_up(self, passed: float) -> str:
        """Returns `time` if its own time is used up, `machine` if the machine gives it no time; else an empty text."""
        waited = self.times.waited
        idle = 0.0 if waited is None else passed - waited - (stolen() - self._stolen)
        own = max(self.times.busiest, self.times.total / cores(), idle)
        if own > self._limits.seconds:
            return "time"
        return "machine" if passed > self._limits.wall else ""
