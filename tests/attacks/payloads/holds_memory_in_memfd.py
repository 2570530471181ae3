"""Holds memory in files that have no name and are mapped nowhere (here: 800 MiB)."""

import ctypes
import os
import time


def attack(target: dict[str, str]) -> None:
    create = ctypes.CDLL(None, use_errno=True).memfd_create
    held = [number for number in (create(b"held", 0) for _ in range(16)) if number >= 0]
    written = sum(os.write(number, bytes(2**20)) for number in held for _ in range(50))
    time.sleep(1)
    if written:
        print("HARM: holds", written, "bytes")
