"""Builds the bubblewrap command line. Untrusted code can see only the parts of this machine that are listed here."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sft_ref.errors import SandboxError
from sft_ref.io.reading import UnreadableError, json_of

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store")
ETC = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "fonts", "localtime", "mime.types")
SYS = ("/sys/devices/system/cpu", "/sys/devices/system/node")
"""Libraries count processors in these folders."""
READ_ONLY = ("/proc", "/dev", "/")
"""Mounted by bubblewrap, and made read-only at the end. /proc contains kernel settings that root may write from any
namespace without a capability; a command that root started keeps this identity, whatever its user id inside."""
DESCRIBE = """
import json, site, sys
packages = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
prefixes = [sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix]
print(json.dumps({"executable": sys.executable, "paths": prefixes + packages, "userbase": site.getuserbase()}))
"""


class _Described(msgspec.Struct):
    """The output of `DESCRIBE`."""

    executable: str
    paths: list[str]
    userbase: str


@dataclass(frozen=True)
class Interpreter:
    """A Python interpreter and the folders that it needs.

    Attributes:
        executable: its path, not resolved, because the link identifies a virtual environment.
        paths: the required folders: prefixes, packages, and the folders of links to the executable.
        userbase: the folder of `pip install --user`.
    """

    executable: Path
    paths: tuple[Path, ...]
    userbase: str


@functools.cache
def interpreter(python: str) -> Interpreter:
    """Asks the Python interpreter at this path to describe itself.

    Raises:
        SandboxError: the path is not a Python interpreter, or it does not start.
    """
    try:
        named = os.path.abspath(python) if os.sep in python else python  # noqa: PTH100  # keeps links
        asked = subprocess.run(  # noqa: S603  # a list, never a shell
            [named, "-E", "-c", DESCRIBE], capture_output=True, timeout=60, check=True, text=True, cwd="/"
        )
        described = json_of(asked.stdout, _Described)
    except (OSError, subprocess.SubprocessError, ValueError, UnreadableError) as error:
        raise SandboxError(
            f"{python} is not a Python that runs here ({error}); give another one with --python"
        ) from error
    executable = Path(described.executable)
    paths = {Path(path) for path in described.paths} | {hop.parent for hop in _hops(executable)}
    outermost = sorted(path for path in paths if path.is_dir() and paths.isdisjoint(path.parents))
    return Interpreter(executable, tuple(outermost), described.userbase)


@dataclass(frozen=True)
class VisiblePaths:
    """The parts of the machine that a command can see in addition to the system, each at its own path.

    Attributes:
        workspace: the only folder that is writable and persistent.
        readable: read-only files and folders.
        python: the interpreter of the command.
        cwd: the working directory.
    """

    workspace: Path
    readable: tuple[Path, ...]
    python: Interpreter
    cwd: Path


def arguments(sight: VisiblePaths, scratch: int, *, status: int, calls: int | None) -> list[str]:
    """Returns the command line up to the command that runs inside.

    Args:
        sight: the visible parts of the machine.
        scratch: the size of /tmp and of /dev/shm, in bytes of memory.
        status: the descriptor on which bubblewrap reports the exit code.
        calls: the descriptor of a system call filter, if there is one.
    """
    size = ["--size", str(scratch)] if _offers("--size") else []
    line = [
        *(program(), "--unshare-all", "--unshare-user", "--uid", "1000", "--gid", "1000", "--hostname", "localhost"),
        *("--cap-drop", "ALL", "--die-with-parent", "--new-session", "--json-status-fd", str(status)),
        *(["--seccomp", str(calls)] if calls is not None else []),
        *(["--disable-userns"] if _offers("--disable-userns") else []),
        *("--proc", "/proc", "--dev", "/dev", *size, "--tmpfs", "/dev/shm"),  # noqa: S108  # a private one, in memory
        *(*size, "--tmpfs", "/tmp"),  # noqa: S108
    ]
    for path in SYSTEM:
        if Path(path).is_symlink():
            line += ["--symlink", str(Path(path).readlink()), path]
        elif Path(path).is_dir():
            line += ["--ro-bind", path, path]
    for path in (*(f"/etc/{name}" for name in ETC), *SYS):
        line += ["--ro-bind-try", path, path]
    places = dict.fromkeys((*sight.python.paths, *sight.readable), "--ro-bind") | {sight.workspace: "--bind"}
    for place in sorted(places, key=lambda place: len(place.parts)):  # deeper mounts cover shallower ones
        line += [places[place], str(place), str(place)]
    for path in READ_ONLY:
        line += ["--remount-ro", path]
    return [*line, "--chdir", str(sight.cwd), "--"]


def program() -> str:
    """Returns the path of bubblewrap, or its name if it is not installed."""
    return shutil.which("bwrap") or "bwrap"


def _hops(link: Path) -> Iterable[Path]:
    """Yields the path, and the target of each link in its chain."""
    yield link
    while link.is_symlink():
        link = link.parent / link.readlink()
        yield link


@functools.cache
def _offers(option: str) -> bool:
    """Whether the installed bubblewrap has an option; older versions lack some."""
    listed = subprocess.run([program(), "--help"], capture_output=True, text=True, check=False)  # noqa: S603
    return option in listed.stdout + listed.stderr
