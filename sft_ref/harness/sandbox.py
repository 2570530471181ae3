"""Runs one command on foreign code where it can do no harm, within limits, and leaves nothing of it running.

With bubblewrap: no network, namespaces of its own, a read-only system, one folder to write in (`bubblewrap.py` has the
list). Without it the limits alone. Knows nothing of what the command is for, and believes nothing that it says.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import platform
import re
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

import psutil

from ..errors import SandboxError
from . import bubblewrap
from .processes import Times, Tree, count_memory_kills, memory, memory_shared_once, stolen

LOOK = 0.05
"""Seconds between two looks at a running tree; one takes about a millisecond."""
TIMING = 0.25
"""Seconds between two looks at its processor time."""
KILLED = 128 + 9
"""Exit code of what was killed by a signal that cannot be caught."""
FLOOD = 64
"""Output is a flood from this multiple of what is kept of it: code that prints a lot in a hot function is none."""
THREADS = 4
"""Threads that a process may have in the mean: the kernel's own limit counts threads."""
CHUNK = 2**16
"""Bytes read at once, as many as a pipe holds."""
EXIT_CODE = re.compile(rb'"exit-code": (\d{1,3})\b')
"""As bubblewrap tells it, and `launch.py`. Without a sandbox the command can write there too, and not only sense."""
LAUNCH = Path(__file__).with_name("launch.py")
INHERITED = (
    *("LANG", "LC_ALL", "LC_CTYPE", "TZ", "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "MKL_NUM_THREADS"),
    *("OPENBLAS_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "CUBLAS_WORKSPACE_CONFIG"),
)
"""Names of the judge's environment that the command sees, where they are set."""
FIXED = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "WANDB_MODE": "disabled",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONUNBUFFERED": "1",  # what was printed before it was killed is not lost
    "USER": "user",
    "LOGNAME": "user",
}


@dataclass(frozen=True)
class Limits:
    """What a command may use.

    Attributes:
        seconds: processor seconds per core: of the busiest thread, and of all threads on all cores together. A command
            that sleeps is charged the time that it sleeps; none is charged the time that it waits for a processor.
        memory: bytes that all its processes hold together; one process cannot ask for more. Files in /tmp and /dev/shm
            of the sandbox come on top, each up to `file_size`.
        processes: that run at the same time.
        file_size: bytes of one file.
        output: bytes kept of what it prints, the last ones; 64 times as much is a flood.
        disk: bytes by which the free space beneath the workspace may shrink meanwhile; at most half of it.
    """

    seconds: float = 300.0
    memory: int = 8 * 2**30
    processes: int = 256
    file_size: int = 2**30
    output: int = 2**20
    disk: int = 8 * 2**30

    @property
    def wall(self) -> float:
        """Seconds by the clock after which a command is stopped in any case."""
        return 5 * self.seconds + 60


@dataclass(frozen=True)
class Finished:
    """How a command ended.

    Attributes:
        returncode: its exit code, 128 + the signal where one killed it; None where it was stopped by us, or where
            nobody knows.
        output: the end of what it printed, both streams in one.
        ended: empty where it ended by itself, else the limit that stopped it: time, memory, processes, output, disk;
            or machine: it was starved; or lost: what watched it was killed.
        seconds: wall-clock time that it took.
        sandboxed: whether it ran within bubblewrap.
        processor: seconds of processor time of its busiest thread.
        starved: how the machine kept it from its end, a clause; empty where it did not.
    """

    returncode: int | None
    output: str
    ended: str
    seconds: float
    sandboxed: bool
    processor: float = 0.0
    starved: str = ""


@functools.cache
def why_not() -> str:
    """Why foreign code cannot be sandboxed on this machine, one line; empty where it can. Tried once, by doing it."""
    if platform.system() != "Linux":
        return f"bubblewrap is for Linux, not {platform.system()}"
    if not shutil.which("bwrap"):
        return "bubblewrap is not installed (apt-get install bubblewrap, or your system's way)"
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder).resolve()
        sight = bubblewrap.Sight(place, (), bubblewrap.interpreter(sys.executable), place)
        nothing = [sys.executable, "-I", "-S", "-c", "pass"]
        tried = _run_in(sight, nothing, {}, b"", Limits(seconds=30), sandboxed=True)
    said = tried.output.strip().splitlines()
    return "" if tried.returncode == 0 else f"bubblewrap does not run here: {said[-1] if said else tried.ended}"


def run(
    command: Sequence[str],
    *,
    workspace: Path,
    readable: Sequence[Path] = (),
    environment: Mapping[str, str] = MappingProxyType({}),
    stdin: bytes = b"",
    cwd: Path | None = None,
    limits: Limits = Limits(),
) -> Finished:
    """Runs a command until it ends or is stopped; all that it started is gone when this returns.

    Args:
        command: a Python interpreter and its arguments.
        workspace: an existing folder, the only one that it can write to, seen at its own path. What is left in it is
            foreign still: it may hold links, and where the judge is root, programs that run as root. It belongs in a
            folder that other users cannot enter, and what is read from it goes through `unpack`.
        readable: files and folders that it can read, seen at their own paths; none of them within the workspace.
        environment: what it sees besides a short list of ours.
        stdin: what it reads from its standard input.
        cwd: where it starts: the workspace, if not said.
        limits: what it may use.

    Raises:
        SandboxError: the interpreter does not run, or a path is missing.
    """
    workspace = workspace.resolve()
    if not workspace.is_dir():
        raise SandboxError(f"the scratch folder {workspace} is missing")
    seen = tuple(path.absolute() for path in readable)
    for path in seen:
        if not path.exists():
            raise SandboxError(f"{path} is to be read by a submission, but is missing")
        if path.resolve().is_relative_to(workspace):
            raise SandboxError(f"{path} is to be read only, but lies in the scratch folder {workspace}")
    start = workspace if cwd is None else cwd.resolve()
    sight = bubblewrap.Sight(workspace, seen, bubblewrap.interpreter(command[0]), start)
    return _run_in(sight, command, environment, stdin, limits, sandboxed=not why_not())


def _run_in(
    sight: bubblewrap.Sight,
    command: Sequence[str],
    environment: Mapping[str, str],
    stdin: bytes,
    limits: Limits,
    *,
    sandboxed: bool,
) -> Finished:
    began, kills = time.monotonic(), count_memory_kills()
    inner = [str(sight.python.executable), *command[1:]]
    with _pipe() as (output, printed), _pipe() as (status, told), tempfile.TemporaryFile() as given:
        given.write(stdin)
        given.seek(0)
        bounds = _bounds(limits, sandboxed=sandboxed)
        plan = ["-" if sandboxed else str(told.fileno()), str(len(bounds)), *bounds]
        line = [inner[0], "-I", "-S", "-c", LAUNCH.read_text(encoding="utf-8"), *plan, *inner]
        if sandboxed:
            line = bubblewrap.arguments(sight, scratch=limits.file_size, status=told.fileno()) + line
        home = "/tmp" if sandboxed else str(sight.workspace)  # noqa: S108  # the sandbox's own
        with subprocess.Popen(  # noqa: S603  # a list, never a shell
            line,
            stdin=given,
            stdout=printed,
            stderr=printed,
            env=_environment(sight.python, home) | dict(environment),
            cwd="/" if sandboxed else sight.cwd,
            pass_fds=(told.fileno(),),
            start_new_session=True,
        ) as started:
            printed.close()
            told.close()
            tree = Tree(started.pid)
            watch = _Watch(tree, sight.workspace, limits, began)
            try:
                watch.until_the_end(output, status)
            finally:
                tree.kill()
                started.kill()
        watch.take(output)
    text = watch.text[-limits.output :].decode(errors="replace")
    ended = watch.ended or ("lost" if watch.code is None else "")
    seconds, starved = time.monotonic() - began, ""
    if ended == "machine":
        starved = f"the machine is too busy: {watch.times.busiest:.0f} s of processor time in {seconds:.0f} s"
    elif (ended == "lost" or watch.code == KILLED) and count_memory_kills() > kills:
        starved = "the machine ran out of memory and killed it"
    return Finished(None if ended else watch.code, text, ended, seconds, sandboxed, watch.times.busiest, starved)


class _Watch:
    """Follows a command from outside.

    Attributes:
        text: the end of what it has printed.
        code: its exit code, None as long as there is none.
        ended: the limit that it has hit, or empty.
        times: what it has used of processors.
    """

    def __init__(self, tree: Tree, workspace: Path, limits: Limits, began: float) -> None:
        self.text = b""
        self.code: int | None = None
        self.ended = ""
        self._tree, self._workspace, self._limits, self._began = tree, workspace, limits, began
        self.times = Times()
        self._timed, self._stolen = began, stolen()
        self._printed = 0
        self._free = shutil.disk_usage(workspace).free
        self._told = b""

    def until_the_end(self, output: BinaryIO, status: BinaryIO) -> None:
        """Returns when the command has ended or has hit a limit."""
        look = time.monotonic()
        with selectors.DefaultSelector() as selector:
            for pipe in (output, status):
                os.set_blocking(pipe.fileno(), False)
                selector.register(pipe, selectors.EVENT_READ)
            while not self.ended:
                ready = [key.fileobj for key, _ in selector.select(LOOK)]
                if output in ready and not self.take(output):
                    selector.unregister(output)  # closed by all that could print
                if status in ready and self._is_told(status):
                    return
                if time.monotonic() >= look:
                    self.ended = self.ended or self._hit()
                    look = time.monotonic() + LOOK

    def take(self, output: BinaryIO) -> bool:
        """Takes what is there to read, up to a flood; whether there may be more some time."""
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

    def _is_told(self, status: BinaryIO) -> bool:
        """Whether the command has ended: its exit code was told, or nobody is left who could."""
        with contextlib.suppress(BlockingIOError):
            chunk = os.read(status.fileno(), CHUNK)
            self._told = (self._told + chunk)[-CHUNK:]
            if found := EXIT_CODE.search(self._told):
                self.code = int(found[1])
            return not chunk or found is not None
        return False

    def _hit(self) -> str:
        """The limit that is exceeded now."""
        living = self._tree.living()
        if time.monotonic() >= self._timed:
            self._timed = time.monotonic() + TIMING
            self.times.look(living)
        if limit := self._time_is_up(time.monotonic() - self._began):
            return limit
        if len(living) > self._limits.processes:
            return "processes"
        if memory(living) > self._limits.memory and memory_shared_once(living) > self._limits.memory:
            return "memory"
        if self._free - shutil.disk_usage(self._workspace).free > min(self._limits.disk, self._free // 2):
            return "disk"
        return ""

    def _time_is_up(self, passed: float) -> str:
        """Whether it has used up its own time, or the machine gives it none; empty where neither is so."""
        waited = self.times.waited
        idle = 0.0 if waited is None else passed - waited - (stolen() - self._stolen)
        own = max(self.times.busiest, self.times.total / _cores(), idle)
        if own > self._limits.seconds:
            return "time"
        return "machine" if passed > self._limits.wall else ""


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """The ends to read from and to write to, both closed afterwards."""
    read, write = os.pipe()
    with os.fdopen(read, "rb", buffering=0) as reader, os.fdopen(write, "wb", buffering=0) as writer:
        yield reader, writer


def _environment(python: bubblewrap.Interpreter, home: str) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    path = os.pathsep.join([str(python.executable.parent), "/usr/local/bin", "/usr/bin", "/bin"])
    return inherited | FIXED | {"HOME": home, "TMPDIR": home, "PYTHONUSERBASE": python.userbase, "PATH": path}


def _bounds(limits: Limits, *, sandboxed: bool) -> list[str]:
    """What the kernel itself holds, by the names of `resource`; the rest is watched."""
    bounds = {
        "RLIMIT_CORE": 0,
        "RLIMIT_FSIZE": limits.file_size,
        "RLIMIT_CPU": 2 * math.ceil(limits.seconds) * _cores() + 1,  # if the judge does not look in time
        "RLIMIT_DATA": limits.memory,  # not address space: CUDA and threads reserve much of it and use little
        "RLIMIT_NPROC": THREADS * limits.processes,
    }
    if not sandboxed:  # then it is counted by user, and the judge's own and others' count too
        bounds["RLIMIT_NPROC"] += _threads_of_this_user()
    return [f"{name}={bound}" for name, bound in bounds.items()]


def _cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _threads_of_this_user() -> int:
    count = 0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            count += process.num_threads() if process.uids().real == os.getuid() else 0
    return count
