"""Becomes root of a namespace of its own, from where more of the kernel is in reach."""

import ctypes

CLONE_NEWUSER = 0x10000000


def attack(target: dict[str, str]) -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER) == 0:
        print("HARM: is root of its own namespace")
