"""Takes memory in processes whose first thread has ended: they look as if they had (here: 4 of 200 MiB, 5 seconds)."""

import ctypes
import os
import platform
import threading
import time

EXIT = {"x86_64": 60, "aarch64": 93}[platform.machine()]


def hold() -> None:
    time.sleep(0.2)
    block = bytearray(200 * 2**20)
    block[::4096] = b"x" * len(block[::4096])
    time.sleep(5)
    os._exit(0)


def attack(target: dict[str, str]) -> None:
    for _ in range(4):
        if not os.fork():
            threading.Thread(target=hold).start()
            ctypes.CDLL(None).syscall(EXIT, 0)
    time.sleep(3)
    print("HARM: hid 800 MiB")
