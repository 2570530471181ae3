"""Attaches to the judge as a debugger would, or reads its memory."""

import contextlib
import ctypes
import os

PTRACE_ATTACH, PTRACE_DETACH = 16, 17


def attack(target: dict[str, str]) -> None:
    pid = int(target["pid"])
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(PTRACE_ATTACH, pid, None, None) == 0:
        print("HARM: attached")
        with contextlib.suppress(OSError):
            os.waitpid(pid, os.WUNTRACED)
        libc.ptrace(PTRACE_DETACH, pid, None, None)
    with contextlib.suppress(OSError), open(f"/proc/{pid}/mem", "rb"):
        print("HARM: its memory is open")
