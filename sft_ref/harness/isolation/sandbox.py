"""Runs one command of untrusted code in a sandbox, within limits, and leaves none of its processes running.

With bubblewrap: no network, separate namespaces, a read-only system, one writable folder (`bubblewrap.py` has the
list). Without it: resource limits only. It does not depend on the command's purpose, and trusts none of its output.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import platform
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

from sft_ref.errors import SandboxError

from . import bubblewrap, cgroup, seccomp
from .limits import Limits, cores
from .processes import ProcessTree, count_memory_kills
from .watch import LOOK, Watch

__all__ = ["CommandResult", "Limits", "gaps", "run", "why_not"]

KILLED = 128 + 9
"""Exit code of a command that was ended by SIGKILL."""
THREADS = 4
"""Average number of threads per process: the kernel's limit counts threads."""
LAUNCH = Path(__file__).with_name("launch.py")
OPEN_FILES = 4096
"""Maximum number of open files of one process: each pipe and socket takes kernel memory."""
LONGEST_HOME = 100 - len("/pymp-12345678/listener-12345678")
"""The longest path, in bytes, of a folder for temporary files: a socket's path ends at 104 (macOS) or 108 (Linux), and
multiprocessing opens one there."""
INHERITED = (
    *("LANG", "LC_ALL", "LC_CTYPE", "TZ", "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "MKL_NUM_THREADS"),
    "OPENBLAS_NUM_THREADS",
)
"""Environment variables of the judge that the command inherits, if they are set."""
FIXED = {
    "CUDA_VISIBLE_DEVICES": "",  # results do not depend on the judge's GPU, and its driver is out of reach
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
class CommandResult:
    """How a command ended.

    Attributes:
        returncode: its exit code, 128 + the signal number if a signal killed it; None if a limit stopped it, or if it
            is unknown.
        output: the end of its output, stdout and stderr combined.
        ended: empty if it ended without being stopped; else the limit that stopped it: time, memory, processes, output,
            files, disk; or machine: it got no processor time; or lost: the process above it was killed.
        seconds: wall-clock duration.
        sandboxed: whether it ran in bubblewrap.
        processor: processor seconds of its busiest thread.
        starved: a clause that says how the machine prevented it from finishing; empty if it did not.
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
    """Returns one line on why code cannot be sandboxed on this machine; empty if it can. Determined by one trial."""
    if platform.system() != "Linux":
        return f"bubblewrap is for Linux, not {platform.system()}"
    if not shutil.which("bwrap"):
        return "bubblewrap is not installed (apt-get install bubblewrap, or use your system's package manager)"
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder).resolve()
        sight = bubblewrap.VisiblePaths(place, (), bubblewrap.interpreter(sys.executable), place)
        nothing = [sys.executable, "-I", "-S", "-c", "pass"]
        tried = _run_in(sight, nothing, {}, b"", Limits(seconds=30), sandboxed=True)
    lines = tried.output.strip().splitlines()
    return "" if tried.returncode == 0 else f"bubblewrap does not run here: {lines[-1] if lines else tried.ended}"


def gaps() -> tuple[str, ...]:
    """Lists the limits that the sandbox cannot fully enforce on this machine, a line each; empty without a sandbox."""
    if why_not():
        return ()
    found = []
    if why := seccomp.why_not():
        found.append(f"system calls are not filtered, so that some memory escapes the limits: {why}")
    if why := cgroup.why_not():
        found.append(f"the memory limit is polled every {LOOK:.2f} s, and not enforced by the kernel: {why}")
    return tuple(found)


def run(
    command: Sequence[str],
    *,
    workspace: Path,
    readable: Sequence[Path] = (),
    environment: Mapping[str, str] = MappingProxyType({}),
    stdin: bytes = b"",
    cwd: Path | None = None,
    limits: Limits = Limits(),
) -> CommandResult:
    """Runs a command until it ends or is stopped; none of its processes is left when this returns.

    Args:
        command: a Python interpreter and its arguments.
        workspace: an existing folder, the only one that the command can write to, at its own path. Its content stays
            untrusted: it may contain links and, if the judge is root, programs that run as root. Put it into a folder
            that other users cannot enter, and read it through `sft_ref.io.plain_files` only.
        readable: files and folders that the command can read, at their own paths, outside the workspace.
        environment: environment variables in addition to the default ones.
        stdin: its standard input.
        cwd: its working directory; the workspace if None.
        limits: its limits.

    Raises:
        SandboxError: the interpreter does not run, or a path is missing.
    """
    workspace = workspace.resolve()
    if not workspace.is_dir():
        raise SandboxError(f"the scratch folder {workspace} is missing")
    seen = tuple(path.absolute() for path in readable)
    for path in seen:
        if not path.exists():
            raise SandboxError(f"{path}, which a submission has to read, is missing")
        if path.resolve().is_relative_to(workspace):
            raise SandboxError(f"{path} must be read-only, but is inside the scratch folder {workspace}")
    start = workspace if cwd is None else cwd.resolve()
    sight = bubblewrap.VisiblePaths(workspace, seen, bubblewrap.interpreter(command[0]), start)
    return _run_in(sight, command, environment, stdin, limits, sandboxed=not why_not())


def _run_in(
    sight: bubblewrap.VisiblePaths,
    command: Sequence[str],
    environment: Mapping[str, str],
    stdin: bytes,
    limits: Limits,
    *,
    sandboxed: bool,
) -> CommandResult:
    began, kills = time.monotonic(), count_memory_kills()
    inner = [str(sight.python.executable), *command[1:]]
    with contextlib.ExitStack() as stack:
        (output, printed), (status, report) = stack.enter_context(_pipe()), stack.enter_context(_pipe())
        given = stack.enter_context(_file(stdin))
        calls = stack.enter_context(_filter()) if sandboxed else None
        group = stack.enter_context(_group(limits))
        bounds = _bounds(limits, sandboxed=sandboxed)
        plan = ["-" if sandboxed else str(report.fileno()), str(len(bounds)), *bounds]
        line = [inner[0], "-I", "-S", "-c", LAUNCH.read_text(encoding="utf-8"), *plan, *inner]
        if sandboxed:
            line = bubblewrap.arguments(sight, limits.file_size, status=report.fileno(), calls=calls) + line
        line = group.command_in_group(line) if group else line
        # the sandbox has a private /tmp
        home = "/tmp" if sandboxed else str(stack.enter_context(_short_path(sight.workspace)))  # noqa: S108
        with subprocess.Popen(  # noqa: S603  # a list, never a shell
            line,
            stdin=given,
            stdout=printed,
            stderr=printed,
            env=_environment(sight.python, home) | dict(environment),
            cwd="/" if sandboxed else sight.cwd,
            pass_fds=(report.fileno(), *([] if calls is None else [calls])),
            start_new_session=True,
        ) as started:
            printed.close()
            report.close()
            tree = ProcessTree(started.pid)
            watch = Watch(tree, sight.workspace, limits, began, sandboxed=sandboxed)
            try:
                watch.until_the_end(output, status)
            finally:
                tree.kill()
                started.kill()
        watch.take(output)
        used_up = "memory" if group and group.has_run_out else ""
    text = watch.text[-limits.output :].decode(errors="replace")
    ended = watch.ended or used_up or ("lost" if watch.code is None else "")
    seconds, starved = time.monotonic() - began, ""
    if ended == "machine":
        starved = f"the machine is too busy: {watch.times.busiest:.0f} s of processor time in {seconds:.0f} s"
    elif (ended == "lost" or watch.code == KILLED) and count_memory_kills() > kills:
        starved = "the machine ran out of memory and killed it"
    return CommandResult(None if ended else watch.code, text, ended, seconds, sandboxed, watch.times.busiest, starved)


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Yields the read end and the write end of a pipe; both are closed afterwards."""
    read, write = os.pipe()
    with os.fdopen(read, "rb", buffering=0) as reader, os.fdopen(write, "wb", buffering=0) as writer:
        yield reader, writer


@contextlib.contextmanager
def _file(content: bytes) -> Iterator[BinaryIO]:
    """Yields an unnamed file with this content, positioned at its start."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        yield file


@contextlib.contextmanager
def _short_path(folder: Path) -> Iterator[Path]:
    """Yields a path to a folder that leaves room for a socket's name; a link if its own path is too long."""
    if len(os.fsencode(folder)) <= LONGEST_HOME:
        yield folder
        return
    with tempfile.TemporaryDirectory() as place:
        link = Path(place, "home")
        link.symlink_to(folder, target_is_directory=True)
        yield link


@contextlib.contextmanager
def _filter() -> Iterator[int | None]:
    """Yields the descriptor of the system call filter; None if none can be built."""
    if seccomp.why_not():
        yield None
        return
    with _file(seccomp.build()) as file:
        yield file.fileno()


@contextlib.contextmanager
def _group(limits: Limits) -> Iterator[cgroup.Group | None]:
    """Yields a control group for one run; None if the kernel provides none."""
    parent = None if cgroup.why_not() else cgroup.find_parent()
    if parent is None:
        yield None
        return
    with cgroup.make_group(parent, memory=limits.memory, processes=THREADS * limits.processes) as group:
        yield group


def _environment(python: bubblewrap.Interpreter, home: str) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    path = os.pathsep.join([str(python.executable.parent), "/usr/local/bin", "/usr/bin", "/bin"])
    return inherited | FIXED | {"HOME": home, "TMPDIR": home, "PYTHONUSERBASE": python.userbase, "PATH": path}


def _bounds(limits: Limits, *, sandboxed: bool) -> list[str]:
    """Returns the limits that the kernel enforces, by their names in `resource`; the others are polled."""
    bounds = {
        "RLIMIT_CORE": 0,
        "RLIMIT_FSIZE": limits.file_size,
        "RLIMIT_CPU": 2 * math.ceil(limits.seconds) * cores() + 1,  # in case the judge polls too late
        "RLIMIT_DATA": limits.memory,  # not address space: threads reserve much of it and use little
        "RLIMIT_NPROC": THREADS * limits.processes,
        "RLIMIT_NOFILE": OPEN_FILES,
    }
    if not sandboxed:  # then the kernel counts all threads of the user, including the judge's
        bounds["RLIMIT_NPROC"] += _threads_of_this_user()
    return [f"{name}={bound}" for name, bound in bounds.items()]


def _threads_of_this_user() -> int:
    count = 0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            count += process.num_threads() if process.uids().real == os.getuid() else 0
    return count
