"""Kills the judge, its own parent, and their groups."""

import contextlib
import os
import signal


def attack(target: dict[str, str]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(OSError):
            os.kill(int(target["pid"]), number)
        with contextlib.suppress(OSError):
            os.killpg(int(target["pid"]), number)
        with contextlib.suppress(OSError):
            os.kill(os.getppid(), number)
