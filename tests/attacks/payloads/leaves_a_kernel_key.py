"""Leaves keys in the kernel, some of which outlive the process; by system calls, since libc has no names for them."""

import ctypes
import platform

ADD_KEY, KEYCTL = {"x86_64": (248, 250), "aarch64": (217, 219)}[platform.machine()]
RINGS = {"session": -3, "user": -4, "user session": -5}
JOIN_SESSION_KEYRING = 1


def attack(target: dict[str, str]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for name, ring in RINGS.items():
        if libc.syscall(ADD_KEY, b"user", target["abstract"].encode(), b"data", ctypes.c_size_t(4), ring) > 0:
            print("HARM: a key in the ring of the", name)
    if libc.syscall(KEYCTL, JOIN_SESSION_KEYRING, b"ring of the submission") > 0:
        print("HARM: has a ring of its own")
