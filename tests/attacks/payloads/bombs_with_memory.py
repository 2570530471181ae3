"""Takes memory in several processes, none of which has much (here: 8 of 200 MiB, for ten seconds)."""

import os
import time


def attack(target: dict[str, str]) -> None:
    for _ in range(8):
        if not os.fork():
            block = bytearray(200 * 2**20)
            block[::4096] = b"x" * len(block[::4096])
            time.sleep(10)
            os._exit(0)
    time.sleep(10)
