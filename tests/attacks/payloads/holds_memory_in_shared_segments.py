"""Holds memory in shared segments that no process is attached to, and in message queues (here: 800 MiB)."""

import ctypes
import time

IPC_PRIVATE, SIZE = 0, 50 * 2**20


def attack(target: dict[str, str]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    held = 0
    for _ in range(16):
        segment = libc.shmget(IPC_PRIVATE, ctypes.c_size_t(SIZE), 0o600)
        if segment >= 0:
            place = libc.shmat(segment, None, 0)
            ctypes.memset(place, 1, SIZE)
            libc.shmdt(ctypes.c_void_p(place))
            held += SIZE
    time.sleep(1)
    if held:
        print("HARM: holds", held, "bytes")
    if libc.msgget(IPC_PRIVATE, 0o600) >= 0:
        print("HARM: has a message queue")
