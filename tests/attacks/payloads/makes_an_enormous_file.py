"""Makes a file of 100 GB that takes no room, and one that takes what it can get (here: 200 MiB)."""

import contextlib
from pathlib import Path


def attack(target: dict[str, str]) -> None:
    with contextlib.suppress(OSError), Path("sparse").open("wb") as file:
        file.truncate(100 * 10**9)
        print("HARM: made")
    with contextlib.suppress(OSError), Path("dense").open("wb") as file:
        for _ in range(200):
            file.write(bytes(2**20))
        print("HARM: filled")
