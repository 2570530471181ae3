"""Fills what looks like a disk and is memory (here: 400 MiB)."""

import contextlib
from pathlib import Path


def attack(target: dict[str, str]) -> None:
    written = 0
    for folder in ("/tmp", "/dev/shm", "/run", "/dev", "/"):
        for number in range(10):
            with contextlib.suppress(OSError), Path(folder, f"part{number}").open("wb", buffering=0) as file:
                for _ in range(20):
                    written += file.write(bytes(2**20))
    if written > 3 * 64 * 2**20:
        print("HARM: wrote", written, "bytes")
