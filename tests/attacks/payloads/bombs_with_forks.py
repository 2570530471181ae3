"""Starts more processes than any machine likes (here: 300, for ten seconds, each in a session of its own)."""

import contextlib
import os
import time


def attack(target: dict[str, str]) -> None:
    for _ in range(300):
        with contextlib.suppress(OSError):
            if not os.fork():
                os.setsid()
                time.sleep(10)
                os._exit(0)
    time.sleep(10)
