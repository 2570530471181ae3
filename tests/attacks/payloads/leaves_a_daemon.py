"""Leaves a process that outlives it, in a session of its own (here: ten seconds)."""

import os
import time
from pathlib import Path


def attack(target: dict[str, str]) -> None:
    if os.fork():
        time.sleep(0.2)
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    for count in range(100):
        Path("heartbeat").write_text(str(count))
        time.sleep(0.1)
