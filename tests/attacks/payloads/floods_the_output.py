"""Prints without end (here: 200 MiB)."""

import os


def attack(target: dict[str, str]) -> None:
    line = b"x" * 1023 + b"\n"
    for _ in range(200 * 1024):
        os.write(1, line)
    print("HARM: all was taken")
